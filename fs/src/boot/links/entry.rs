//! The entries of the litefile, and which of them lie in another one.

use super::place::parent;
use statelite_policy::Dialect;

/// One line of the litefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The option as the server sent it; blank is `tmpfs,rw`.
    pub option: String,
    /// The path, with its trailing slash if it has one.
    pub path: String,
    /// Option of the directory entry it lies in. Of several the outermost one, which lies in no other itself.
    pub parent: Option<String>,
    /// Entries directly inside this one, none between.
    pub children: Vec<String>,
}

/// Entries that lie in no other first, then the others, each in the order of the list.
///
/// Today an entry lies in every directory above it that is listed; in 2010 only in the one right above it.
#[must_use]
pub fn sort(lines: &[(String, String)], dialect: Dialect) -> Vec<Entry> {
    let parent_of = |path: &str| {
        let above = lines.iter().filter(|(_, dir)| match dialect {
            Dialect::Current => {
                dir.ends_with('/') && dir != "/" && path != dir && path.starts_with(dir.as_str())
            }
            Dialect::Seed2010 => is_in(path, dir),
        });
        let outermost = above.min_by_key(|(_, dir)| dir.len());
        outermost.map(|(option, _)| option.clone())
    };
    let mut entries: Vec<Entry> = lines
        .iter()
        .map(|(option, path)| Entry {
            option: option.clone(),
            path: path.clone(),
            parent: parent_of(path),
            children: lines
                .iter()
                .filter(|(_, child)| is_in(child, path))
                .map(|(_, child)| child.clone())
                .collect(),
        })
        .collect();
    // The sort is stable: the order of the list stays.
    entries.sort_by_key(|entry| entry.parent.is_some());
    entries
}

/// Whether `path` is right inside `dir`, which has a trailing slash.
fn is_in(path: &str, dir: &str) -> bool {
    dir.strip_suffix('/')
        .is_some_and(|dir| parent(path) == Some(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(lines: &[(&str, &str)], dialect: Dialect) -> Vec<Entry> {
        let line = |(option, path): &(&str, &str)| ((*option).to_owned(), (*path).to_owned());
        sort(&lines.iter().map(line).collect::<Vec<_>>(), dialect)
    }

    fn paths(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.path.as_str()).collect()
    }

    #[test]
    fn parents_come_first_and_know_their_children() {
        let lines = [
            ("persistent", "/var/p/c/"),
            ("tmpfs", "/var/p/"),
            ("tmpfs", "/etc/one"),
            ("tmpfs", "/var/px"),
        ];
        let sorted = sorted(&lines, Dialect::Current);
        assert_eq!(
            paths(&sorted),
            ["/var/p/", "/etc/one", "/var/px", "/var/p/c/"]
        );
        assert_eq!(sorted[0].children, ["/var/p/c/"]);
        assert_eq!(sorted[3].parent.as_deref(), Some("tmpfs"));
    }

    #[test]
    fn deep_below_is_inside_today_but_no_direct_child() {
        let lines = [
            ("ro", "/var/a/b/deep"),
            ("link", "/var/a/b/"),
            ("tmpfs", "/var/"),
            ("rw", "/var/x/far"),
        ];
        let today = sorted(&lines, Dialect::Current);
        assert_eq!(
            paths(&today),
            ["/var/", "/var/a/b/deep", "/var/a/b/", "/var/x/far"]
        );
        assert_eq!(today[0].children, Vec::<String>::new());
        assert_eq!(today[2].children, ["/var/a/b/deep"]);
        // The outermost one.
        assert_eq!(today[1].parent.as_deref(), Some("tmpfs"));

        let then = sorted(&lines, Dialect::Seed2010);
        assert_eq!(
            paths(&then),
            ["/var/a/b/", "/var/", "/var/x/far", "/var/a/b/deep"]
        );
        assert_eq!(then[3].parent.as_deref(), Some("link"));
    }
}
