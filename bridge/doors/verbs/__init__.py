"""The chapters of the table of verbs; `bridge.doors.table` joins them."""
