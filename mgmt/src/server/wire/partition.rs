//! `getpartition`: the layout of the local disk, for the node's own script (facts §6).
//!
//! The first line is `type=format` or `type=script` (a partition file given as `s:FILE`); then the lines of the file.
//! No `<xcatdsource>` here: the script takes every line for one of the file.

use crate::resolve;
use crate::server::world::World;
use crate::tables::schema::LINUXIMAGE;
use statelite_policy::wire::{DENIED, refusal};
use std::path::PathBuf;

/// The longest file that is sent, bytes.
const LONGEST: u64 = 256 * 1024;

/// What a partition file is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Layout {
    kind: &'static str,
    file: PathBuf,
}

/// The answer.
pub async fn reply(world: &World, node: &str) -> String {
    let layout = match layout(world, node) {
        Ok(layout) => layout,
        Err(reason) => return refusal(&reason),
    };
    match read(&layout).await {
        Ok(content) => text(layout.kind, &content),
        Err(error) => {
            tracing::warn!(
                node,
                "linuximage.partitionfile {}: {error}",
                layout.file.display()
            );
            // Where the server keeps its files is not the node's business.
            refusal("The partition file of the image cannot be read")
        }
    }
}

async fn read(layout: &Layout) -> std::io::Result<String> {
    let file = layout.file.clone();
    let task = tokio::task::spawn_blocking(move || {
        let meta = std::fs::metadata(&file)?;
        if !meta.is_file() || meta.len() > LONGEST {
            return Err(std::io::Error::other(format!(
                "not a file of at most {LONGEST} bytes"
            )));
        }
        std::fs::read(&file)
    });
    let bytes = task.await.map_err(|_| std::io::Error::other(DENIED))??;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn layout(world: &World, node: &str) -> Result<Layout, String> {
    let site = world.about(node);
    let image = resolve::image_of(&site, node).map_err(|error| error.to_string())?;
    let row = site.row(&LINUXIMAGE, &[&image]);
    let file = row.and_then(|row| row.get(&LINUXIMAGE, "partitionfile"));
    let file = file.ok_or(format!(
        "{node}: linuximage.partitionfile of {image} is not set"
    ))?;
    Ok(match file.strip_prefix("s:") {
        Some(file) => Layout {
            kind: "script",
            file: file.into(),
        },
        None => Layout {
            kind: "format",
            file: file.into(),
        },
    })
}

/// One response with a `<data>` element per line.
fn text(kind: &str, content: &str) -> String {
    let first = format!("type={kind}");
    let lines = std::iter::once(first.as_str()).chain(content.lines());
    let info = statelite_policy::wire::answer("", lines);
    // The same elements under another name, without a source.
    let mut out = String::from("<xcatresponse>\n");
    for line in info.lines() {
        let inside = line
            .strip_prefix("  <info>")
            .and_then(|rest| rest.strip_suffix("</info>"));
        if let Some(inside) = inside {
            out.push_str(&format!("  <data>{inside}</data>\n"));
        }
    }
    out.push_str("</xcatresponse>\n<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing;

    #[test]
    fn lines_are_data() {
        assert_eq!(
            text("format", "enable=yes\n[disk]\nparts=<10>\n"),
            "<xcatresponse>\n  <data>type=format</data>\n  <data>enable=yes</data>\n  <data>[disk]</data>\n  \
             <data>parts=&lt;10&gt;</data>\n</xcatresponse>\n<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n"
        );
    }

    #[test]
    fn files_and_scripts() {
        for (value, kind, file) in [("/a", "format", "/a"), ("s:/b", "script", "/b")] {
            let mut site = testing::site();
            let cells = format!("imagename=img partitionfile={value}");
            site.put(&LINUXIMAGE, vec![testing::row(&LINUXIMAGE, &cells)]);
            let found = layout(&World::new(site, 1, false), "n01").unwrap();
            assert_eq!((found.kind, found.file), (kind, file.into()));
        }
        let world = World::new(testing::site(), 1, false);
        assert!(layout(&world, "n01").unwrap_err().contains("is not set"));
        assert!(layout(&world, "n03").unwrap_err().contains("nodetype.os"));
    }
}
