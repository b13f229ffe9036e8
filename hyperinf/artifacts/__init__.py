"""Files that stages leave: written whole or not at all, hashed, recorded, traced back."""
