"""Writes the database that Datasette serves: one item at a price."""
import sqlite3
import sys

file, price = sys.argv[1:]
with sqlite3.connect(file) as database:
    database.execute("create table stock (item text, price integer)")
    database.execute("insert into stock values ('lamp', ?)", (int(price),))
