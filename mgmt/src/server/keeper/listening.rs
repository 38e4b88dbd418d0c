//! Hearing of changes in PostgreSQL as they are made, between two looks.

use super::Message;
use crate::tables::Listener;
use std::sync::Weak;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// How long one wait lasts; after a stop the thread ends within this time.
const WAIT: Duration = Duration::from_secs(1);
/// Pause before connecting anew. Meanwhile the tables are looked at from time to time.
const PAUSE: Duration = Duration::from_secs(5);

/// Starts a thread that sends [`Message::Changed`] for changes, until `alive` is gone or nobody receives.
///
/// # Errors
/// When no thread can be started.
pub(super) fn start(
    db: &str,
    messages: SyncSender<Message>,
    alive: Weak<()>,
) -> std::io::Result<()> {
    let db = db.to_owned();
    let listen = move || {
        let mut told = false;
        while alive.strong_count() > 0 {
            match hear(&db, &messages, &alive, &mut told) {
                Ok(()) => return,
                Err(error) if !told => {
                    tracing::warn!("not told of changes, looking for them only: {error}");
                    told = true;
                }
                Err(_) => {}
            }
            std::thread::sleep(PAUSE);
        }
    };
    let thread = std::thread::Builder::new().name("changes".into());
    thread.spawn(listen).map(drop)
}

/// Ends well when the server stops.
fn hear(
    db: &str,
    messages: &SyncSender<Message>,
    alive: &Weak<()>,
    told: &mut bool,
) -> Result<(), crate::tables::StoreError> {
    let mut listener = Listener::open(db)?;
    *told = false;
    // What changed before we listened.
    let mut changed = true;
    while alive.strong_count() > 0 {
        if changed && messages.send(Message::Changed).is_err() {
            break;
        }
        changed = listener.wait(WAIT)?;
    }
    Ok(())
}
