//! The fleet's key = value files: types, units, errors with file and line.
