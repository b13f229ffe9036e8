"""Choosing training data: from files of rows as people have them to the rows that help most on a target."""
