"""What an export wrote down for one size, made anew for another: shapes, tables of places, windows, shifts, masks."""
