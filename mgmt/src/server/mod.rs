//! The server that nodes ask: the xCAT wire, HTTPS with JSON, the certificate authority.
