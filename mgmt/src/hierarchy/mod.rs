//! Service nodes: what they serve, and how tables and files reach them.
