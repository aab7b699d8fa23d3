"""Fakes that plug-in and script authors can use too; every one says that it is a fake."""
