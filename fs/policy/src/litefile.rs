//! litefile rows to rules.

use std::borrow::Cow;

use crate::csv::LITEFILE;
use crate::csv::reader::Reader;
use crate::merge::{Merge, Scope, live};
use crate::model::{Dialect, Flavour, Origin, Placement, Rule};
use crate::options::{self, OptionError, Word};
use crate::path::{self, PathError};
use crate::refusal::Report;

/// Always listed (facts §2), and always `tmpfs,rw`.
pub(crate) const MTAB: &str = "/etc/mtab";
/// A usual row's length in bytes, for a guess at the number of rows; the shortest useful row has about ten.
const USUAL_ROW: usize = 40;

/// Why a path and an option do not make a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RuleError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error("a directory cannot be concatenated: the option \"{0}\" is for files")]
    ConDirectory(String),
    #[error("/etc/mtab is a file: no trailing slash")]
    MtabDirectory,
}

impl RuleError {
    /// The litefile column to blame.
    fn column(&self) -> &'static str {
        match self {
            Self::Path(_) | Self::MtabDirectory => "file",
            Self::Option(_) | Self::ConDirectory(_) => "options",
        }
    }
}

/// A path with its option, checked, before it is known who wins.
#[derive(Debug, Clone)]
pub(crate) struct Draft<'a> {
    pub(crate) path: Cow<'a, str>,
    directory: bool,
    word: &'static Word,
    /// What to warn about.
    pub(crate) caution: Option<Cow<'static, str>>,
}

impl<'a> Draft<'a> {
    /// Checks one path and one option cell.
    pub(crate) fn new(
        file: Cow<'a, str>,
        option: &str,
        dialect: Dialect,
    ) -> Result<Self, RuleError> {
        let (path, directory) = match file {
            Cow::Borrowed(file) => path::parse(file).map(|row| (row.path, row.directory)),
            Cow::Owned(file) => {
                path::parse(&file).map(|row| (Cow::Owned(row.path.into_owned()), row.directory))
            }
        }?;
        let mut word = options::parse(option, dialect)?;
        let mut caution = word.caution.map(Cow::Borrowed);
        if directory && word.files_only() {
            return Err(RuleError::ConDirectory(option.to_owned()));
        }
        if path == MTAB {
            if directory {
                return Err(RuleError::MtabDirectory);
            }
            let forced = options::parse("", dialect)?;
            if (word.placement, word.flavour) != (forced.placement, forced.flavour) {
                caution = Some(
                    format!(
                        "{MTAB} is always {}: \"{option}\" is not used",
                        forced.normal()
                    )
                    .into(),
                );
            }
            word = forced;
        } else if path::looks_like_wildcard(&path) {
            caution =
                Some("wildcards are not expanded: the row names this one path literally".into());
        }
        Ok(Self {
            path,
            directory,
            word,
            caution,
        })
    }

    pub(crate) fn into_rule(self, origin: Origin) -> Rule {
        Rule {
            path: self.path.into_owned(),
            directory: self.directory,
            placement: self.word.placement,
            flavour: self.word.flavour,
            option: self.word.normal().to_owned(),
            origin,
        }
    }
}

/// The rule for `/etc/mtab` when no row lists it.
pub(crate) fn implied_mtab() -> Rule {
    Rule {
        path: MTAB.to_owned(),
        directory: false,
        placement: Placement::Volatile,
        flavour: Flavour::Link,
        option: "link".to_owned(),
        origin: Origin::Implied("/etc/mtab is always listed"),
    }
}

/// Reads the rows in scope. The rules are complete only if the report has no refusals.
pub(crate) fn read(
    text: &[u8],
    scope: Scope<'_>,
    dialect: Dialect,
    report: &mut Report,
) -> Vec<Rule> {
    let Some(mut reader) = Reader::open(text, &LITEFILE, report) else {
        return Vec::new();
    };
    let [image, file, options, disable] =
        ["image", "file", "options", "disable"].map(|name| reader.index(name));
    let mut merge = Merge::new(text.len() / USUAL_ROW);
    while let Some(mut row) = reader.next_row(report) {
        let line = row.line;
        let (is_live, warning) = live(row.get(disable));
        let Some(level) = scope.level(row.get(image).unwrap_or_default()) else {
            if let Scope::Node(node) = scope
                && is_live
                && node.misses_group(row.get(image).unwrap_or_default())
            {
                let reason = "one of several groups of the node's osimage: xCAT compares the whole groups value, \
                              so the row does not apply";
                report.warn(line, Some("image"), reason);
            }
            continue;
        };
        if let Some(warning) = warning {
            report.warn(line, Some("disable"), warning);
        }
        if !is_live {
            continue;
        }
        let (image, file) = (row.take(image), row.take(file));
        let draft = match Draft::new(file, row.get(options).unwrap_or_default(), dialect) {
            Ok(draft) => draft,
            Err(error) => {
                report.refuse(line, Some(error.column()), error);
                continue;
            }
        };
        if let Some(caution) = &draft.caution {
            let column = if path::looks_like_wildcard(&draft.path) {
                "file"
            } else {
                "options"
            };
            report.warn(line, Some(column), caution);
        }
        let world = if matches!(scope, Scope::Everything) {
            image.clone()
        } else {
            Cow::Borrowed("")
        };
        let key = (world, draft.path.clone());
        let path = draft.path.clone();
        if let Err(other) = merge.offer(key, level, line, (draft, image)) {
            let reason =
                format_args!("{path} is listed for the same image on line {other} already");
            report.refuse(line, Some("file"), reason);
        }
    }
    let origin = |line, image: Cow<'_, str>| Origin::Row {
        file: report.file.clone(),
        line,
        image: image.into_owned(),
    };
    merge
        .into_kept()
        .into_iter()
        .map(|kept| kept.value.0.into_rule(origin(kept.line, kept.value.1)))
        .collect()
}
