//! Boot files: what nodeset writes for each boot loader.
