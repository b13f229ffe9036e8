"""How a source's row becomes a sample: one :class:`~hyperinf.data.formats.form.Format` for each layout of rows."""
