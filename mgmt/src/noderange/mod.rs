//! xCAT's node ranges (facts §9).

use crate::tables::Site;

/// Why a range is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// the range is empty
    #[error("the range is empty")]
    Empty,
    /// no node or group "{0}"
    #[error("no node or group \"{0}\"")]
    Unknown(String),
}

/// The nodes of a range, sorted.
///
/// # Errors
/// [`RangeError`] when it is not a range, or names what is not there.
pub fn expand(site: &Site, range: &str) -> Result<Vec<String>, RangeError> {
    if range.trim().is_empty() {
        return Err(RangeError::Empty);
    }
    let mut nodes: Vec<String> = Vec::new();
    for part in range
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let before = nodes.len();
        if site.has_node(part) {
            nodes.push(part.to_owned());
        } else {
            let members = site
                .nodes()
                .filter(|node| site.groups(node).contains(&part));
            nodes.extend(members.map(str::to_owned));
        }
        if nodes.len() == before {
            return Err(RangeError::Unknown(part.to_owned()));
        }
    }
    nodes.sort();
    nodes.dedup();
    Ok(nodes)
}
