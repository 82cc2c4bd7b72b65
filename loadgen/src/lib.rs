//! Fifty thousand real node cores in one process, and the report of what came of them.
