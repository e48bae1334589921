//! One connection through the relay: two pumps, one per direction, and the mode that rules them.
//!
//! A byte is written while the mode is borrowed (`watch` lets it change only between borrows),
//! so that it is treated in the mode that is in effect at that moment. Nothing here polls:
//! every wait is for a socket or for a change of mode.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    io::AsyncWriteExt as _,
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use super::{
    Counters, Direction, Flow, Mode,
    state::{Life, State, Way},
};

/// The bytes that one direction of a connection holds at most.
const BUFFER_BYTES: usize = 16 << 10;

/// Why a pump stopped before the end of its stream.
enum Stopped {
    /// The peer that sends in this direction broke the connection.
    Sender(Way),
    /// The peer that receives in this direction broke the connection.
    Receiver(Way),
    /// The mode dooms the connection, or the relay has ended.
    Doomed,
}

/// Relays one connection to its end.
pub async fn run(
    mut client: TcpStream,
    to: SocketAddr,
    born: u64,
    mut states: watch::Receiver<State>,
    counters: Arc<Counters>,
) {
    let _open = Open::new(&counters);
    let life = Life::new(born);
    let Some(mut server) = connect(&life, to, &mut states).await else {
        counters.reset.fetch_add(1, Ordering::Relaxed);
        return reset(client);
    };
    // Without it the relay would add the kernel's waiting for more bytes to the link.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let ended = relay(&mut client, &mut server, &life, &mut states, &counters).await;
    if ended.is_err() {
        counters.reset.fetch_add(1, Ordering::Relaxed);
        reset(client);
        reset(server);
    }
}

/// Connects to the server as soon as the mode lets it; `None` if the client is to be reset.
async fn connect(
    life: &Life,
    to: SocketAddr,
    states: &mut watch::Receiver<State>,
) -> Option<TcpStream> {
    let open =
        |state: &State| life.doomed(state) || !matches!(state.mode(), Mode::Hole | Mode::Stall);
    let doomed = states.wait_for(open).await.map_or(true, |state| life.doomed(&state));
    if doomed {
        return None;
    }
    tokio::select! {
        server = TcpStream::connect(to) => server.ok(),
        _ = states.wait_for(|state| life.doomed(state)) => None,
    }
}

/// Pumps both ways until both have ended (`Ok`) or both peers are to be reset (`Err`).
async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    life: &Life,
    states: &mut watch::Receiver<State>,
    counters: &Counters,
) -> Result<(), ()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let pump = |way| Pump { way, life, states: states.clone(), counters };
    let both = async {
        tokio::try_join!(
            pump(Way::Up).run(from_client, to_server),
            pump(Way::Down).run(from_server, to_client),
        )
    };
    // A peer hears that the other one has broken the connection only if the way to it is open.
    let way = match both.await {
        Ok(_) if !life.has_lost() => return Ok(()),
        // A peer that was not told of the end must not see one now.
        Ok(_) => {
            let _ = states.wait_for(|state| life.doomed(state)).await;
            return Err(());
        }
        Err(Stopped::Doomed) => return Err(()),
        Err(Stopped::Sender(way)) => way,
        Err(Stopped::Receiver(Way::Up)) => Way::Down,
        Err(Stopped::Receiver(Way::Down)) => Way::Up,
    };
    let heard = |state: &State| match way.flow(state) {
        _ if life.doomed(state) => true,
        Flow::Pass => true,
        Flow::Stop => false,
        Flow::Swallow => {
            life.lose(state);
            false
        }
    };
    // An error means that the relay has ended, and the connection with it.
    let _ = states.wait_for(heard).await;
    Err(())
}

struct Pump<'a> {
    way: Way,
    life: &'a Life,
    states: watch::Receiver<State>,
    counters: &'a Counters,
}

/// What to do next with bytes, or with the end of a stream, that are to go on.
enum Step {
    Passed(usize),
    Swallowed,
    WaitForMode,
    WaitForRoom,
}

impl<'a> Pump<'a> {
    async fn run(mut self, from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Stopped> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            self.may_read(&from).await?;
            match from.try_read(&mut buffer) {
                Ok(0) => return self.end(&mut to).await,
                Ok(read) => self.forward(&to, &buffer[..read]).await?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Stopped::Sender(self.way)),
            }
        }
    }

    /// Waits until there is something to read and the mode lets it be read.
    async fn may_read(&mut self, from: &ReadHalf<'_>) -> Result<(), Stopped> {
        loop {
            let stopped = {
                let state = self.states.borrow_and_update();
                if self.life.doomed(&state) {
                    return Err(Stopped::Doomed);
                }
                self.way.flow(&state) == Flow::Stop
            };
            if stopped {
                self.change().await?;
                continue;
            }
            tokio::select! {
                ready = from.readable() => return ready.map_err(|_| Stopped::Sender(self.way)),
                change = self.states.changed() => change.map_err(|_| Stopped::Doomed)?,
            }
        }
    }

    async fn forward(&mut self, to: &WriteHalf<'_>, mut bytes: &[u8]) -> Result<(), Stopped> {
        while !bytes.is_empty() {
            let turn = self.turn(bytes).await?;
            match self.step(turn.len() as u64, || to.try_write(turn))? {
                Step::Passed(written) => bytes = &bytes[written..],
                Step::Swallowed => bytes = &bytes[turn.len()..],
                Step::WaitForMode => self.change().await?,
                Step::WaitForRoom => tokio::select! {
                    ready = to.writable() => ready.map_err(|_| Stopped::Receiver(self.way))?,
                    change = self.states.changed() => change.map_err(|_| Stopped::Doomed)?,
                },
            }
        }
        Ok(())
    }

    /// What of `bytes` may go now; on a slow link, waits for a turn. A change of the mode ends the
    /// wait, and what was waited for then goes in the new one.
    async fn turn<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Stopped> {
        let Some(rate) = self.states.borrow_and_update().mode().rate() else { return Ok(bytes) };
        let (length, begin) = self.direction().pace.turn(bytes.len(), rate);
        tokio::select! {
            () = tokio::time::sleep_until(begin) => {}
            change = self.states.changed() => change.map_err(|_| Stopped::Doomed)?,
        }
        Ok(&bytes[..length])
    }

    fn direction(&self) -> &'a Direction {
        match self.way {
            Way::Up => &self.counters.up,
            Way::Down => &self.counters.down,
        }
    }

    /// One try to pass `length` bytes on by `write`, within one and the same mode.
    fn step(
        &mut self,
        length: u64,
        write: impl FnOnce() -> io::Result<usize>,
    ) -> Result<Step, Stopped> {
        let counters = self.direction();
        let state = self.states.borrow_and_update();
        if self.life.doomed(&state) {
            return Err(Stopped::Doomed);
        }
        match self.way.flow(&state) {
            Flow::Stop => Ok(Step::WaitForMode),
            Flow::Swallow => {
                self.life.lose(&state);
                counters.swallowed.fetch_add(length, Ordering::Relaxed);
                Ok(Step::Swallowed)
            }
            Flow::Pass => match write() {
                Ok(written) => {
                    counters.passed.fetch_add(written as u64, Ordering::Relaxed);
                    Ok(Step::Passed(written))
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Step::WaitForRoom),
                Err(_) => Err(Stopped::Receiver(self.way)),
            },
        }
    }

    /// Passes on that the sender has closed its side; the other direction goes on.
    async fn end(&mut self, to: &mut WriteHalf<'_>) -> Result<(), Stopped> {
        loop {
            match self.step(0, || Ok(0))? {
                Step::Passed(_) => break,
                Step::Swallowed => return Ok(()),
                Step::WaitForMode | Step::WaitForRoom => self.change().await?,
            }
        }
        to.shutdown().await.map_err(|_| Stopped::Receiver(self.way))
    }

    async fn change(&mut self) -> Result<(), Stopped> {
        self.states.changed().await.map_err(|_| Stopped::Doomed)
    }
}

/// Closes a connection so that its peer sees a reset, not an orderly end.
fn reset(stream: TcpStream) {
    // Fails only on a socket that is gone, which needs no reset.
    let _ = stream.set_zero_linger();
}

/// Counts a connection as open.
struct Open<'a>(&'a Counters);

impl<'a> Open<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.open.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
