//! The node: a pure Node core with agents, filters and facts, and its driver.
