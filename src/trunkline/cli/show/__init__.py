"""How things look on a terminal: tables, times, sizes, colours, details, drawings. No call is made from here."""
