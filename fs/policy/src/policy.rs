//! From tables to the policy of one node, or to a verdict on the whole tables.

use serde::Serialize;

use crate::merge::{NodeIdentity, Scope};
use crate::model::{Dialect, Origin, Placement, Rule};
use crate::refusal::{Refusals, Report, Warning};
use crate::source::Source;
use crate::tree::PolicyTree;
use crate::{litefile, litetree, statelite};

/// The three tables as tabdump CSV, each with a label for messages. A missing table counts as one without rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tables<'a> {
    /// litefile: image, file, options, comments, disable.
    pub litefile: Option<(&'a str, &'a [u8])>,
    /// litetree: priority, image, directory, mntopts (optional), comments, disable.
    pub litetree: Option<(&'a str, &'a [u8])>,
    /// statelite: node, image (ignored), statemnt, mntopts (optional), comments, disable.
    pub statelite: Option<(&'a str, &'a [u8])>,
}

/// One read-only layer from the litetree table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeLayer {
    /// The priority as written; the smallest number is searched first.
    pub priority: String,
    /// Where the layer comes from, variables expanded.
    pub source: Source,
    /// The row.
    pub origin: Origin,
}

/// Everything one node needs to know.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The rules.
    pub tree: PolicyTree,
    /// The litetree layers by ascending numeric priority: the first match wins.
    pub layers: Vec<TreeLayer>,
    /// The persistent store; the node's data is in the directory `<node>` below it.
    pub statemnt: Option<Source>,
    /// Accepted but odd rows, in the order of tables and lines.
    pub warnings: Vec<Warning>,
}

/// Builds the policy of one node.
///
/// Every row must be well-formed CSV. Beyond that only the rows that apply to the node are judged, so that a bad row
/// of one image does not stop the nodes of another; [`check`] judges them all.
///
/// # Errors
/// Every refusal found in all three tables, never a part of a policy.
pub fn build(
    tables: &Tables<'_>,
    node: &NodeIdentity,
    dialect: Dialect,
) -> Result<Policy, Refusals> {
    let scope = Scope::Node(node);
    let mut verdict = Verdict::default();
    let mut rules = verdict
        .of(tables.litefile, |text, report| {
            litefile::read(text, scope, dialect, report)
        })
        .unwrap_or_default();
    if !rules.iter().any(|rule| rule.path == litefile::MTAB) {
        rules.push(litefile::implied_mtab());
    }
    let layers = verdict.of(tables.litetree, |text, report| {
        let drafts = litetree::read(text, scope, report);
        litetree::layers(drafts, node, report)
    });
    let statemnt = verdict.of(tables.statelite, |text, report| {
        let answers = statelite::read(text, scope, report);
        statelite::source(answers, node, report)
    });
    let statemnt = statemnt.flatten();
    verdict.homeless(&rules, statemnt.as_ref(), node);
    let tree = verdict.tree(tables, rules);
    let warnings = verdict.finish()?;
    Ok(Policy {
        tree,
        layers: layers.unwrap_or_default(),
        statemnt,
        warnings,
    })
}

/// Checks every live row of every image, node and group, without a node: variables stay unexpanded.
///
/// # Errors
/// Every refusal found in all three tables.
pub fn check(tables: &Tables<'_>, dialect: Dialect) -> Result<Vec<Warning>, Refusals> {
    let mut verdict = Verdict::default();
    verdict.of(tables.litefile, |text, report| {
        drop(litefile::read(text, Scope::Everything, dialect, report))
    });
    verdict.of(tables.litetree, |text, report| {
        drop(litetree::read(text, Scope::Everything, report))
    });
    verdict.of(tables.statelite, |text, report| {
        drop(statelite::read(text, Scope::Everything, report))
    });
    verdict.finish()
}

/// What was found in all tables so far.
#[derive(Debug, Default)]
struct Verdict {
    refusals: Refusals,
    warnings: Vec<Warning>,
}

impl Verdict {
    /// Reads one table, if there is one, and collects its report.
    fn of<T>(
        &mut self,
        table: Option<(&str, &[u8])>,
        read: impl FnOnce(&[u8], &mut Report) -> T,
    ) -> Option<T> {
        let (file, text) = table?;
        let mut report = Report::new(file);
        let result = read(text, &mut report);
        self.take(report);
        Some(result)
    }

    fn take(&mut self, mut report: Report) {
        report.refusals.sort_by_key(|refusal| refusal.line);
        report.warnings.sort_by_key(|warning| warning.line);
        self.refusals.0.append(&mut report.refusals);
        self.warnings.append(&mut report.warnings);
    }

    /// Warns about persistent rules without a store: xCAT makes them silently volatile (facts §2).
    fn homeless(&mut self, rules: &[Rule], statemnt: Option<&Source>, node: &NodeIdentity) {
        if node.name.is_empty() {
            // The rules of an image: each of its nodes may have one.
            return;
        }
        let mut persistent = rules
            .iter()
            .filter(|rule| rule.placement == Placement::Persistent);
        if let (
            None,
            Some(Rule {
                path,
                origin: Origin::Row { file, line, .. },
                ..
            }),
        ) = (statemnt, persistent.next())
        {
            let mut report = Report::new(file);
            let count = persistent.count() + 1;
            let reason = format_args!(
                "node {} has no statemnt to keep persistent paths in ({count} of them, {path} the first)",
                node.name
            );
            report.warn(*line, Some("options"), reason);
            self.take(report);
        }
    }

    /// The tree of the rules. A refusal here would be a fault of the merge, but it is a refusal all the same.
    fn tree(&mut self, tables: &Tables<'_>, rules: Vec<Rule>) -> PolicyTree {
        if !self.refusals.0.is_empty() {
            return PolicyTree::default();
        }
        PolicyTree::from_rules(rules).unwrap_or_else(|error| {
            let mut report = Report::new(tables.litefile.map_or("litefile", |(file, _)| file));
            report.refuse(0, None, error);
            self.take(report);
            PolicyTree::default()
        })
    }

    fn finish(self) -> Result<Vec<Warning>, Refusals> {
        if self.refusals.0.is_empty() {
            Ok(self.warnings)
        } else {
            Err(self.refusals)
        }
    }
}
