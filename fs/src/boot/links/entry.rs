//! The entries of the litefile, and which of them lie in another one.

/// One line of the litefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The option as the server sent it; blank is `tmpfs,rw`.
    pub option: String,
    /// The path, with its trailing slash if it has one.
    pub path: String,
    /// The directory entry it lies in: the nearest one listed with a trailing slash.
    pub parent: Option<Parent>,
    /// Entries directly inside this one.
    pub children: Vec<String>,
}

/// The entry that another one lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its path, trailing slash included.
    pub path: String,
    /// Its option.
    pub option: String,
}

/// Entries that lie in no other first, then the others, each in the order of the list.
#[must_use]
pub fn sort(lines: &[(String, String)]) -> Vec<Entry> {
    let parent_of = |path: &str| {
        let dirs = lines
            .iter()
            .filter(|(_, dir)| dir.ends_with('/') && path != dir && path.starts_with(dir.as_str()));
        dirs.max_by_key(|(_, dir)| dir.len())
            .map(|(option, path)| Parent {
                path: path.clone(),
                option: option.clone(),
            })
    };
    let mut entries: Vec<Entry> = lines
        .iter()
        .map(|(option, path)| Entry {
            option: option.clone(),
            path: path.clone(),
            parent: parent_of(path),
            children: Vec::new(),
        })
        .collect();
    let pairs: Vec<(String, String)> = entries
        .iter()
        .filter_map(|entry| Some((entry.parent.clone()?.path, entry.path.clone())))
        .collect();
    for entry in &mut entries {
        let own = pairs.iter().filter(|(parent, _)| *parent == entry.path);
        entry.children = own.map(|(_, child)| child.clone()).collect();
    }
    // The sort is stable: the order of the list stays.
    entries.sort_by_key(|entry| entry.parent.is_some());
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_know_their_children() {
        let line = |option: &str, path: &str| (option.to_owned(), path.to_owned());
        let sorted = sort(&[
            line("persistent", "/var/p/c/"),
            line("tmpfs", "/var/p/"),
            line("tmpfs", "/etc/one"),
            line("tmpfs", "/var/px"),
        ]);
        let paths: Vec<_> = sorted.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["/var/p/", "/etc/one", "/var/px", "/var/p/c/"]);
        assert_eq!(sorted[0].children, ["/var/p/c/"]);
        assert_eq!(sorted[3].parent.as_ref().unwrap().option, "tmpfs");
    }
}
