//! What becomes of the nodes that the kernel knows when another view comes into force.

use super::super::node::{Body, Node, Presence};
use super::super::view::{Place, View};
use super::super::{Overlay, ident, root_body};
use crate::sys::Result;
use rustix::io::Errno;
use std::sync::Arc;

impl Overlay {
    /// Place of `node` in the present view, and its content if that changed with the rule.
    pub(in super::super) fn follow_reload(&self, view: &View, node: &Arc<Node>) -> Result<Place> {
        let old = node.state.read().place.clone();
        if old.generation > view.generation {
            // A newer view has been here; this operation began before it.
            return Ok(old);
        }
        if node.ino == ident::ROOT {
            let place = view.root();
            let mut state = node.state.write();
            if !Arc::ptr_eq(&state.place.region, &place.region) {
                state.body = Body::Dir(root_body(&place.region));
            }
            state.place = place.clone();
            return Ok(place);
        }
        let link = match node.link() {
            Some(link) if !node.is_dead() => link,
            _ => return Ok(self.stay(view, node, old)),
        };
        let parent = self.place(view, &link.parent)?;
        let place = view.step(&parent, &link.name);
        if Arc::ptr_eq(&old.region, &place.region) {
            node.state.write().place = place.clone();
            return Ok(place);
        }
        let found = self.find_at(view, &link.parent, &link.name, place.clone());
        match found {
            Ok(Some(found))
                // A directory is what its name shows, also in another store: whoever works in it goes on there.
                if (found.identity == node.identity || node.is_dir())
                    && found.stat.kind == node.kind
                    && (!node.is_open() || found.is_upper() == is_upper(node)) =>
            {
                let backing = if found.is_upper() { found.stat.ino } else { 0 };
                let mut state = node.state.write();
                state.backing = backing;
                state.body = found.body;
                state.place = place.clone();
                Ok(place)
            }
            Ok(_) => {
                let stores = (&old.region.store, &place.region.store);
                let moved = matches!(stores, (Some(a), Some(b)) if !Arc::ptr_eq(a, b));
                {
                    let mut state = node.state.write();
                    state.dead = true;
                    state.moved = moved;
                }
                Ok(self.stay(view, node, old))
            }
            Err(e) => Err(e),
        }
    }

    /// Refuses a node that a name led to before a reload carried its file over, so that the kernel asks for the name again.
    /// Where somebody has the old file open, `anyway` lets those pass who may be that one.
    pub(in super::super) fn still_named(
        &self,
        view: &View,
        node: &Arc<Node>,
        anyway: bool,
    ) -> Result<()> {
        self.place(view, node)?;
        match node.state.read().moved && !(anyway && node.is_open()) {
            true => Err(Errno::STALE),
            false => Ok(()),
        }
    }

    /// A node without a name in the view goes on as what it was.
    fn stay(&self, view: &View, node: &Node, old: Place) -> Place {
        let place = Place {
            generation: view.generation,
            pos: None,
            region: old.region,
        };
        node.state.write().place = place.clone();
        place
    }
}

fn is_upper(node: &Node) -> bool {
    match node.body() {
        Body::Upper { .. } => true,
        Body::Dir(_) => node.dir_body().upper == Presence::Present,
        _ => false,
    }
}
