//! Who serves: a few threads, and others in their place while they wait for a server.
//!
//! A thread that waits for a server that is away serves nobody else. With a fixed number of threads as many processes that
//! use the paths of one dead server stop the whole tree. fuser starts all threads at once, and the kernel gives requests to
//! them in turn; so most of them rest here, inside a request that has been answered:
//!
//! | state | it is | it becomes |
//! |---|---|---|
//! | ready | waiting for a request in the kernel | at work with the next one |
//! | at work | in a method of the file system | ready, or resting if enough others are ready |
//! | resting | parked at the end of a request | ready when it is called |
//!
//! A resting thread is called when nobody has been ready and nobody has finished for [`STALL`]. A load that only is large
//! calls nobody: each thread that large requests have passed through keeps some megabytes. Who rested last is called
//! first, so that those which have not been needed yet stay small. Nothing wakes up while nothing is asked.

use parking_lot::Mutex;
use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

/// How long nobody is ready before one more thread is called. Calls to a server that is there take a hundredth of it.
const STALL: Duration = Duration::from_millis(200);

/// The serving threads of a mount.
#[derive(Debug)]
pub struct Crew {
    /// As many may be ready; none rests if there are no more.
    wanted: isize,
    spare: bool,
    ready: AtomicIsize,
    /// Counts requests that are finished.
    finished: AtomicUsize,
    rest: Mutex<Rest>,
    /// Calls who rests. Started by the first request: before that the process may be in the mount table of others.
    watch: OnceLock<Option<Thread>>,
}

#[derive(Debug, Default)]
struct Rest {
    /// Who rests, and whether it has been called.
    threads: Vec<(Thread, Arc<AtomicBool>)>,
    /// Threads that have served a request and do not rest. When the mount ends they end, and say so.
    members: usize,
    over: bool,
}

thread_local! {
    static MEMBER: OnceCell<Member> = const { OnceCell::new() };
}

/// Held by each serving thread; a thread ends when the mount does.
#[derive(Debug)]
struct Member(Arc<Crew>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Held while a request is served.
#[derive(Debug)]
#[must_use]
pub struct AtWork<'a>(Option<&'a Crew>);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if let Some(crew) = self.0 {
            crew.finish();
        }
    }
}

impl Crew {
    /// A crew of `wanted` and `spare` threads, all of which are ready.
    pub fn new(wanted: usize, spare: usize) -> Arc<Crew> {
        let count = |n: usize| isize::try_from(n).unwrap_or(isize::MAX);
        Arc::new(Crew {
            wanted: count(wanted),
            spare: spare > 0,
            ready: AtomicIsize::new(count(wanted + spare)),
            finished: AtomicUsize::new(0),
            rest: Mutex::new(Rest::default()),
            watch: OnceLock::new(),
        })
    }

    fn start_watch(self: &Arc<Crew>) -> Option<Thread> {
        let watched = Arc::clone(self);
        let started = std::thread::Builder::new()
            .name("crew".into())
            .spawn(move || watched.watch());
        match started {
            Ok(watch) => Some(watch.thread().clone()),
            Err(e) => {
                tracing::warn!("nobody stands in for threads that wait for a server: {e}");
                None
            }
        }
    }

    fn wake_watch(&self) {
        if let Some(Some(watch)) = self.watch.get() {
            watch.unpark();
        }
    }

    /// The calling thread has got a request.
    pub fn work(self: &Arc<Crew>) -> AtWork<'_> {
        if !self.spare {
            return AtWork(None);
        }
        MEMBER.with(|member| {
            member.get_or_init(|| {
                self.watch.get_or_init(|| self.start_watch());
                self.rest.lock().members += 1;
                Member(Arc::clone(self))
            });
        });
        if self.ready.fetch_sub(1, Ordering::AcqRel) <= 1 {
            self.wake_watch();
        }
        AtWork(Some(self))
    }

    /// It has served it.
    fn finish(&self) {
        self.finished.fetch_add(1, Ordering::AcqRel);
        if self.ready.load(Ordering::Acquire) >= self.wanted
            && let Some(called) = self.lie_down()
        {
            while !called.load(Ordering::Acquire) {
                std::thread::park();
            }
        } else {
            self.ready.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Counts the calling thread among those that rest, if enough are ready without it.
    fn lie_down(&self) -> Option<Arc<AtomicBool>> {
        let mut rest = self.rest.lock();
        // One of those that would notice the end stays up.
        if rest.over || rest.members < 2 || self.ready.load(Ordering::Acquire) < self.wanted {
            return None;
        }
        let called = Arc::new(AtomicBool::new(false));
        let own = (std::thread::current(), Arc::clone(&called));
        rest.threads.push(own);
        rest.members -= 1;
        Some(called)
    }

    /// Calls the thread that rested last.
    fn call(&self, rest: &mut Rest) -> bool {
        let Some((thread, called)) = rest.threads.pop() else {
            return false;
        };
        rest.members += 1;
        self.ready.fetch_add(1, Ordering::AcqRel);
        called.store(true, Ordering::Release);
        thread.unpark();
        true
    }

    /// Calls threads while there is a stall.
    fn watch(&self) {
        let mut told = false;
        while !self.rest.lock().over {
            if self.ready.load(Ordering::Acquire) > 0 {
                told = false;
                std::thread::park();
                continue;
            }
            let before = self.finished.load(Ordering::Acquire);
            std::thread::sleep(STALL);
            let mut rest = self.rest.lock();
            let stalled = self.ready.load(Ordering::Acquire) <= 0
                && self.finished.load(Ordering::Acquire) == before;
            if stalled && !self.call(&mut rest) && !told {
                told = true;
                tracing::warn!("every serving thread waits for a server; whoever asks waits too");
            }
        }
    }

    /// The mount has ended: everybody is called, to end too.
    fn end(&self) {
        let mut rest = self.rest.lock();
        rest.over = true;
        while self.call(&mut rest) {}
        self.wake_watch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Instant;

    /// A request: served when this is so, or at once.
    type Request = Option<Arc<AtomicBool>>;

    /// Threads that take requests from a queue as fuser's do; they end with it.
    fn start(
        crew: &Arc<Crew>,
        threads: usize,
    ) -> (Sender<Request>, Vec<std::thread::JoinHandle<()>>) {
        let (requests, queue) = channel::<Request>();
        let queue = Arc::new(Mutex::new(queue));
        let serve = |_| {
            let (crew, queue) = (Arc::clone(crew), Arc::clone(&queue));
            std::thread::spawn(move || {
                let next = || queue.lock().recv();
                while let Ok(request) = next() {
                    let _at_work = crew.work();
                    if let Some(answered) = request {
                        eventually("an answer", || answered.load(Ordering::Acquire));
                    }
                }
            })
        };
        (requests, (0..threads).map(serve).collect())
    }

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn who_waits_is_stood_in_for_and_all_end_with_the_mount() {
        let crew = Crew::new(3, 9);
        let (requests, threads) = start(&crew, 12);
        let answered = Arc::new(AtomicBool::new(false));
        for _ in 0..12 {
            requests.send(Some(Arc::clone(&answered))).unwrap();
        }
        eventually("each has a request", || {
            crew.ready.load(Ordering::Acquire) == 0
        });
        answered.store(true, Ordering::Release);
        eventually("all but three rest", || crew.rest.lock().threads.len() == 9);

        // Nine wait, of three that were ready.
        let answered = Arc::new(AtomicBool::new(false));
        for _ in 0..9 {
            requests.send(Some(Arc::clone(&answered))).unwrap();
        }
        requests.send(None).unwrap();
        eventually("served while nine wait", || {
            crew.finished.load(Ordering::Acquire) == 13
        });
        answered.store(true, Ordering::Release);
        eventually("all that waited", || {
            crew.finished.load(Ordering::Acquire) == 22
        });
        for _ in 0..100 {
            requests.send(None).unwrap();
        }
        eventually("they rest again", || crew.rest.lock().threads.len() >= 8);

        drop(requests);
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn without_spare_threads_there_is_no_crew() {
        let crew = Crew::new(2, 0);
        drop(crew.work());
        assert!(crew.watch.get().is_none());
    }
}
