//! `statelite-bench nfs`: the NFS traffic of real nodes, mode by mode.
//!
//! Same image, same tables, same kernel, same server; what differs is who makes the root of it. A node is a virtual
//! machine under software emulation, so times are only good for comparing with each other; numbers of calls repeat
//! within a few per cent.
//!
//! | module | what it is |
//! |---|---|
//! | [`mountstats`] | what the kernel counted |
//! | [`result`] | what a run comes to |
//! | [`table`], [`chart`], [`html`] | how it is shown |

pub mod chart;
pub mod html;
pub mod mountstats;
pub mod result;
pub mod table;
