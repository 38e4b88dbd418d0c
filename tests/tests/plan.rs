//! `plan` says what `reload` then does, and changes nothing.

mod common;

use std::fs;

use anyhow::Result;
use common::snapshot::snapshot;
use common::{World, append, names, same};
use serde_json::{Value, json};
use statelite_tests::cmd::End;

/// Every way to use a path, as a rule has it; the image has none.
const OPTIONS: [Option<&str>; 5] = [
    None,
    Some("ro"),
    Some("tmpfs"),
    Some("persistent"),
    Some("localdisk"),
];

/// Rules for `/d/` beside one that stays.
fn rules(option: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("/stays/", "tmpfs")];
    all.extend(option.map(|option| ("/d/", option)));
    all
}

/// What a change from one to the other does, if the node has `own` files there.
fn effect(from: Option<&str>, to: Option<&str>, own: bool) -> &'static str {
    let store = |option| matches!(option, Some("persistent" | "localdisk"));
    match (from, to) {
        (Some("tmpfs"), to) if own && store(to) => "refused",
        (Some("tmpfs"), _) if own => "parked",
        (from, to) if store(from) && (to == Some("tmpfs") || store(to)) => "refused",
        (from, _) if store(from) => "left",
        (_, to) if store(to) => "copied",
        (_, Some("tmpfs")) => "writable",
        (Some("tmpfs"), _) => "read-only",
        _ => "shown",
    }
}

#[test]
fn every_change_is_told_and_then_done() -> Result<()> {
    for from in OPTIONS {
        for to in OPTIONS.into_iter().filter(|to| *to != from) {
            for own in [false, true] {
                let writable = !matches!(from, None | Some("ro"));
                if own && !writable {
                    continue;
                }
                let Some(mut world) = World::new("plan")? else {
                    return Ok(());
                };
                world.put("image/d/f", "image")?;
                world.spec.rules = rules(from)
                    .into_iter()
                    .map(|(path, option)| (path.to_owned(), option.to_owned()))
                    .collect();
                world.start()?;
                // Looking at it seeds a store, whose copy is the node's own from then on.
                fs::read(world.m("d/f"))?;
                if own {
                    append(world.m("d/f"), b"+mine")?;
                }
                let what = format!("{from:?} -> {to:?}, own files: {own}");
                let wanted = effect(from, to, own);
                let (shown, stored) = (snapshot(&world.m(""))?, snapshot(&world.at("per"))?);
                let generation = world.status()?.number("generation")?;
                let told = world.plan(&rules(to))?;
                let plan: Value = serde_json::from_str(&told.stdout)?;
                same(plan["steps"].as_array().map_or(0, Vec::len), 1, &what)?;
                same(&plan["steps"][0]["path"], &json!("/d"), &what)?;
                same(&plan["steps"][0]["effect"], &json!(wanted), &what)?;
                let loses = matches!(wanted, "refused" | "parked" | "left");
                same(told.end, End::Code(i32::from(loses)), &what)?;
                same(world.status()?.number("generation")?, generation, &what)?;
                same(snapshot(&world.m(""))? == shown, true, &what)?;
                same(snapshot(&world.at("per"))? == stored, true, &what)?;

                let done = world.reload(&rules(to))?;
                same(done.success(), wanted != "refused", &what)?;
                if done.success() {
                    let report: Value = serde_json::from_str(&done.stdout)?;
                    let parked = if wanted == "parked" {
                        json!(["/d"])
                    } else {
                        json!([])
                    };
                    same(&report["parked"], &parked, &what)?;
                    let left = if wanted == "left" {
                        json!(["/d"])
                    } else {
                        json!([])
                    };
                    same(&report["left"], &left, &what)?;
                    let again = world.plan(&rules(to))?;
                    same(again.end, End::Code(0), &what)?;
                    same(
                        serde_json::from_str::<Value>(&again.stdout)?,
                        json!({"steps": []}),
                        &what,
                    )?;
                }
                world.stop()?;
            }
        }
    }
    Ok(())
}

#[test]
fn what_comes_back_and_what_is_wrong_is_told() -> Result<()> {
    let Some(world) = World::new("plan-back")? else {
        return Ok(());
    };
    let mut world = world.rule("/d/", "tmpfs");
    world.put("image/d/f", "image")?;
    world.put("per/e/f", "stored")?;
    world.start()?;
    append(world.m("d/f"), b"+mine")?;
    world.reload_ok(&[("/d/", "ro")])?;
    let told = world.plan(&[("/d/", "tmpfs"), ("/e/", "persistent")])?;
    same(told.end, End::Code(0), "nothing is lost")?;
    let plan: Value = serde_json::from_str(&told.stdout)?;
    let effects: Vec<&Value> = (0..2).map(|at| &plan["steps"][at]["effect"]).collect();
    same(effects, [&json!("comes-back"), &json!("stored")], "effects")?;
    for bad in [("/d/", "nonsense"), ("d/", "tmpfs"), ("/d/", "con")] {
        let told = world.plan(&[bad])?;
        same(told.end, End::Code(2), &told.text())?;
    }
    Ok(())
}

/// The effects of a plan, by path.
fn effects(world: &World, rules: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
    let told = world.plan(rules)?;
    let plan: Value = serde_json::from_str(&told.stdout)?;
    let steps = plan
        .get("steps")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let text = |step: &Value, key| {
        step.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok(steps
        .iter()
        .map(|step| (text(step, "path"), text(step, "effect")))
        .collect())
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(path, effect): &(&str, &str)| ((*path).to_owned(), (*effect).to_owned());
    all.iter().map(own).collect()
}

#[test]
fn directories_that_were_made_emptied_or_moved_are_the_nodes_own() -> Result<()> {
    type Change = fn(&World) -> std::io::Result<()>;
    let changes: [(&str, Change); 5] = [
        ("made anew", |world| {
            fs::remove_dir_all(world.m("v/a"))?;
            fs::create_dir_all(world.m("v/a/x"))?;
            fs::write(world.m("v/a/x/n"), "n")
        }),
        ("emptied", |world| {
            fs::remove_dir_all(world.m("v/a"))?;
            fs::create_dir(world.m("v/a"))
        }),
        ("moved in", |world| {
            fs::rename(world.m("w/dir"), world.m("v/dir"))
        }),
        ("made", |world| fs::create_dir(world.m("v/new"))),
        ("removed", |world| fs::remove_file(world.m("v/f"))),
    ];
    for (what, change) in changes {
        let Some(world) = World::new("plan-own")? else {
            return Ok(());
        };
        let mut world = world.rule("/v/", "tmpfs").rule("/w/", "tmpfs");
        for path in ["v/f", "v/a/x/old", "w/dir/f"] {
            world.put(&format!("image/{path}"), path)?;
        }
        world.start()?;
        let clean = effects(
            &world,
            &[("/v/", "ro"), ("/w/", "tmpfs"), ("/v/a/x/", "tmpfs")],
        )?;
        same(
            clean,
            pairs(&[("/v", "read-only"), ("/v/a/x", "shown")]),
            what,
        )?;
        change(&world)?;
        for (option, effect) in [("ro", "parked"), ("persistent", "refused")] {
            for inside in [&[][..], &[("/v/a/x/", "tmpfs")]] {
                let rules = [&[("/v/", option), ("/w/", "tmpfs")][..], inside].concat();
                let told = effects(&world, &rules)?;
                same(told.first(), pairs(&[("/v", effect)]).first(), what)?;
            }
        }
    }
    Ok(())
}

#[test]
fn what_a_store_has_is_judged_as_seeding_does() -> Result<()> {
    let Some(world) = World::new("plan-seed")? else {
        return Ok(());
    };
    let mut world = world.rule("/p/x/", "persistent");
    for path in ["p/f", "p/x/f", "q/f"] {
        world.put(&format!("image/{path}"), path)?;
    }
    world.start()?;
    fs::read(world.m("p/x/f"))?;
    let x = ("/p/x/", "persistent");
    // What is above a seeded path was made to hold it, and is completed.
    let above = effects(&world, &[x, ("/p/", "persistent")])?;
    same(above, pairs(&[("/p", "copied")]), "above")?;
    same(
        effects(&world, &[x, ("/", "persistent")])?.first(),
        pairs(&[("/", "copied")]).first(),
        "the root",
    )?;
    let falls = effects(&world, &[("/p/", "persistent")])?;
    same(
        falls,
        pairs(&[("/p", "copied"), ("/p/x", "stored")]),
        "falls to it",
    )?;
    // What is nowhere was not removed by anybody.
    let new = effects(&world, &[x, ("/p/x/new/", "tmpfs")])?;
    same(new, pairs(&[("/p/x/new", "shown")]), "new")?;
    // What was removed after it had been seeded stays so.
    world.reload_ok(&[x, ("/q/f", "persistent")])?;
    fs::remove_file(world.m("q/f"))?;
    world.reload_ok(&[x])?;
    let removed = ("/q/f", "persistent");
    let again = effects(&world, &[x, removed])?;
    same(again, pairs(&[("/q/f", "stored")]), "removed")?;
    world.reload_ok(&[x, removed])?;
    for rules in [&[x][..], &[x, ("/q/f", "ro")], &[x, ("/q/f", "tmpfs")]] {
        let back = effects(&world, rules)?;
        same(back, pairs(&[("/q/f", "left")]), "it comes back")?;
    }
    Ok(())
}

#[test]
fn what_the_daemon_makes_is_not_the_nodes_own() -> Result<()> {
    let Some(world) = World::new("plan-made")? else {
        return Ok(());
    };
    let mut world = world
        .rule("/opt/", "tmpfs")
        .rule("/opt/app/spool/", "tmpfs")
        .rule("/opt/app/file", "tmpfs")
        .rule("/var/", "tmpfs");
    for file in ["var/cache/x/f", "var/back/f"] {
        world.put(&format!("image/{file}"), "image")?;
    }
    world.start()?;
    // Listed paths that are nowhere are made when somebody looks.
    same(names(world.m("opt/app"))?, ["file", "spool"], "listed")?;
    fs::metadata(world.m("opt/app/file"))?;
    // What is made and removed leaves the directories that were copied up for it, also when the image loses them.
    fs::write(world.m("var/cache/x/tmp"), "")?;
    fs::remove_file(world.m("var/cache/x/tmp"))?;
    fs::remove_dir_all(world.at("image/var/cache/x"))?;
    fs::rename(world.m("var/back"), world.m("var/there"))?;
    fs::rename(world.m("var/there"), world.m("var/back"))?;
    world.reload_ok(&[("/opt/", "tmpfs"), ("/var/", "tmpfs")])?;
    let wanted = pairs(&[("/opt", "copied"), ("/var/cache", "copied")]);
    let rules = [
        ("/opt/", "persistent"),
        ("/var/", "tmpfs"),
        ("/var/cache/", "persistent"),
    ];
    same(effects(&world, &rules)?, wanted, "nobody made anything")?;
    append(world.m("opt/app/file"), b"now it is")?;
    let told = effects(&world, &rules)?;
    same(
        told.first(),
        pairs(&[("/opt", "refused")]).first(),
        "written",
    )
}
