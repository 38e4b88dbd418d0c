//! A source with variables (facts §3), as litetree.directory and statelite.statemnt hold it.
//!
//! Per `/`-separated segment: the text before the first `$` is kept; then come variables, each `$node`,
//! `$table.column` or `$site.key`, several of them joined with `.`; a suffix starts only at `#` or a space. So
//! `$node-x` is an error and `$nodetype.os$nodetype.arch` is `rhel6.x86_64`. Where any variable was expanded, `//`
//! becomes `/` and a trailing slash is dropped. A variable the node has no value for becomes [`UNDEFINED`] and is
//! reported; the caller decides. Commands (`#CMD=...#`) run on the server: here they are refused.

use crate::merge::NodeIdentity;
use crate::source::{self, Source, SourceError};

/// What xCAT puts in place of a missing value.
pub const UNDEFINED: &str = "UNDEFINED";

/// Why a template is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// {0}
    #[error(transparent)]
    Source(#[from] SourceError),
    /// "#CMD=...#" is run on the server: the management side must expand it first
    #[error("\"#CMD=...#\" is run on the server: the management side must expand it first")]
    Command,
    /// "#NODEATTRIB" and "#TABLE" belong to addkcmdline, not here: write $table.column
    #[error("\"#NODEATTRIB\" and \"#TABLE\" belong to addkcmdline, not here: write $table.column")]
    KernelOnly,
    /// "|regex|value|" must be expanded by the management side
    #[error("\"|regex|value|\" must be expanded by the management side")]
    Regex,
    /// "${0}" is no variable: expected $node, $table.column or $site.key, ended by "/", "$" or ":"
    #[error(
        "\"${0}\" is no variable: expected $node, $table.column or $site.key, ended by \"/\", \"$\" or \":\""
    )]
    Variable(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Variable {
    Node,
    Lookup(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    prefix: String,
    variables: Vec<Variable>,
    suffix: String,
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    server: Option<Segment>,
    /// The directory as written, for when nothing is expanded.
    written: String,
    dir: Vec<Segment>,
}

/// A template filled in for one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// The source, with [`UNDEFINED`] in place of missing values.
    pub source: Source,
    /// Variables without a value in the server part, without the dollar sign.
    pub undefined_server: Vec<String>,
    /// Variables without a value in the directory part.
    pub undefined_dir: Vec<String>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] when it can never give a source, whatever the node.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.contains("#CMD") {
            return Err(TemplateError::Command);
        }
        if text.contains("#NODEATTRIB") || text.contains("#TABLE") {
            return Err(TemplateError::KernelOnly);
        }
        if text.len() > 2 && text.starts_with('|') && text.ends_with('|') {
            return Err(TemplateError::Regex);
        }
        let (server, written) = source::split(text)?;
        let dir = written
            .split('/')
            .map(Segment::parse)
            .collect::<Result<_, _>>()?;
        let server = server.map(Segment::parse).transpose()?;
        let template = Self {
            server,
            written: written.to_owned(),
            dir,
        };
        // Anything wrong with the fixed text shows whatever the values are.
        template.source(|_| "x", None)?;
        Ok(template)
    }

    /// Fills in the variables of one node.
    ///
    /// # Errors
    /// [`SourceError`] when a value makes the result unusable, for instance a `..` or a space.
    pub fn expand(
        &self,
        node: &NodeIdentity,
        mntopts: Option<String>,
    ) -> Result<Expanded, SourceError> {
        let source = self.source(
            |variable| value(variable, node).unwrap_or(UNDEFINED),
            mntopts,
        )?;
        let missing = |segment: &Segment| {
            let names = segment
                .variables
                .iter()
                .filter(|variable| value(variable, node).is_none());
            names
                .map(|variable| variable.name().to_owned())
                .collect::<Vec<_>>()
        };
        let undefined_server = self.server.iter().flat_map(missing).collect();
        let undefined_dir = self.dir.iter().flat_map(missing).collect();
        Ok(Expanded {
            source,
            undefined_server,
            undefined_dir,
        })
    }

    fn source<'v>(
        &'v self,
        value: impl Fn(&'v Variable) -> &'v str,
        mntopts: Option<String>,
    ) -> Result<Source, SourceError> {
        let segments = self.dir.iter().chain(&self.server);
        let path = if segments
            .into_iter()
            .all(|segment| segment.variables.is_empty())
        {
            self.written.clone()
        } else {
            let filled: Vec<String> = self
                .dir
                .iter()
                .map(|segment| segment.fill(&value))
                .collect();
            let joined = filled.join("/");
            let names: Vec<&str> = joined.split('/').filter(|name| !name.is_empty()).collect();
            format!("/{}", names.join("/"))
        };
        Source::new(
            self.server.as_ref().map(|server| server.fill(&value)),
            path,
            mntopts,
        )
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let (prefix, rest) = text.split_at(text.find('$').unwrap_or(text.len()));
        let (names, suffix) = rest.split_at(rest.find(['#', ' ']).unwrap_or(rest.len()));
        if suffix.contains('$') {
            return Err(TemplateError::Variable(
                rest.strip_prefix('$').unwrap_or(rest).to_owned(),
            ));
        }
        let variables = names
            .split('$')
            .skip(1)
            .map(Variable::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            prefix: prefix.to_owned(),
            variables,
            suffix: suffix.to_owned(),
        })
    }

    fn fill<'v>(&'v self, value: impl Fn(&'v Variable) -> &'v str) -> String {
        let values: Vec<&str> = self.variables.iter().map(value).collect();
        format!("{}{}{}", self.prefix, values.join("."), self.suffix)
    }
}

impl Variable {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        if text == "node" {
            return Ok(Self::Node);
        }
        let word = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        match text.split_once('.') {
            Some((table, column)) if word(table) && word(column) => {
                Ok(Self::Lookup(text.to_owned()))
            }
            _ => Err(TemplateError::Variable(text.to_owned())),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Node => "node",
            Self::Lookup(name) => name,
        }
    }
}

/// The node's value; an empty one is as good as none, for it would name the directory above.
fn value<'v>(variable: &'v Variable, node: &'v NodeIdentity) -> Option<&'v str> {
    let value = match variable {
        Variable::Node => Some(node.name.as_str()),
        Variable::Lookup(name) => node.variables.get(name).map(String::as_str),
    };
    value.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeIdentity {
        let variables = [
            ("noderes.nfsserver", "10.0.0.9"),
            ("nodetype.os", "rhel6"),
            ("nodetype.arch", "x86_64"),
            ("site.litedir", "/lite/"),
            ("site.six", "fe80::1"),
            ("nodepos.rack", ""),
            ("site.up", ".."),
        ];
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        NodeIdentity {
            name: "cn1".into(),
            variables,
            ..NodeIdentity::default()
        }
    }

    fn expand(text: &str) -> Expanded {
        Template::parse(text)
            .unwrap()
            .expand(&node(), None)
            .unwrap()
    }

    #[test]
    fn grammar() {
        for (text, expanded) in [
            (
                "$noderes.nfsserver:/statelite/$node",
                "10.0.0.9:/statelite/cn1",
            ),
            ("cnfs:/gpfs/dallas/", "cnfs:/gpfs/dallas/"),
            ("cnfs:/gpfs//dallas", "cnfs:/gpfs//dallas"),
            ("cnfs:/gpfs//$node/", "cnfs:/gpfs/cn1"),
            ("$noderes.nfsserver:/state/", "10.0.0.9:/state"),
            ("s:/a/pre-$node/b", "s:/a/pre-cn1/b"),
            ("s:/$nodetype.os$nodetype.arch", "s:/rhel6.x86_64"),
            ("s:/x$node#y/z", "s:/xcn1#y/z"),
            ("s:$site.litedir/$node", "s:/lite/cn1"),
            ("[$site.six]:/a", "[fe80::1]:/a"),
            ("$site.six:/a", "[fe80::1]:/a"),
            ("/local/$node", "/local/cn1"),
        ] {
            let expanded_text = expand(text);
            assert_eq!(expanded_text.source.to_string(), expanded, "{text}");
            assert!(
                expanded_text.undefined_dir.is_empty() && expanded_text.undefined_server.is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn missing_values_are_named() {
        let expanded = expand("$noderes.nfssserver:/a/$nodepos.room/$nodepos.rack$node");
        assert_eq!(
            expanded.source.to_string(),
            "UNDEFINED:/a/UNDEFINED/UNDEFINED.cn1"
        );
        assert_eq!(expanded.undefined_server, ["noderes.nfssserver"]);
        assert_eq!(expanded.undefined_dir, ["nodepos.room", "nodepos.rack"]);
    }

    #[test]
    fn refused_templates() {
        for (text, message) in [
            ("s:/a/$node-x", "\"$node-x\" is no variable"),
            ("s:/a/$", "\"$\" is no variable"),
            ("s:/a/$$node", "\"$\" is no variable"),
            ("s:/a/$os", "\"$os\" is no variable"),
            ("s:/a/$a.b.c", "\"$a.b.c\" is no variable"),
            ("s:/a/$node#$node", "\"$node#$node\" is no variable"),
            ("s:/a/#CMD=hostname#", "run on the server"),
            ("#CMD= did not return output#", "run on the server"),
            ("s:/#NODEATTRIB:noderes:nfsserver#", "addkcmdline"),
            ("|cn(\\d+)|s:/a/($1)|", "management side"),
            ("$noderes.nfsserver", "neither server:dir"),
            ("s:/a/$node x/b", "whitespace"),
            ("s:/a/../$node", "\"..\""),
        ] {
            let error = Template::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn values_cannot_climb() {
        let template = Template::parse("s:/a/$site.up").unwrap();
        assert_eq!(template.expand(&node(), None), Err(SourceError::Dots));
    }
}
