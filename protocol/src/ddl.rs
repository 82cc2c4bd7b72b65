//! DDL: what an agent's actions take and give.
