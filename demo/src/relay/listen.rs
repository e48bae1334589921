//! The listening side of the relay: its port, which stays reserved while it refuses, and the
//! loop that accepts connections and changes the mode.

use std::{
    io,
    net::SocketAddr,
    os::fd::AsFd as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{Change, Counters, Mode, connection, state::State};

/// How many connections the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;
/// How long to wait when no connection can be accepted (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A port that is ours whether we listen on it or not. The socket that holds it is bound and
/// never listens: the kernel refuses connections, yet gives the port to nobody else, not even
/// as the near end of an outgoing connection.
#[derive(Debug)]
pub struct Port {
    addr: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    pub fn reserve(addr: SocketAddr) -> io::Result<Self> {
        let held = bind(addr)?;
        Ok(Self { addr: held.local_addr()?, _held: held })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn listen(&self) -> io::Result<TcpListener> {
        bind(self.addr)?.listen(BACKLOG)
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

/// Accepts connections and changes the mode until the relay is dropped.
pub async fn run(
    listener: TcpListener,
    port: Port,
    to: SocketAddr,
    mut changes: mpsc::Receiver<Change>,
    counters: Arc<Counters>,
) {
    let mut link = Link {
        to,
        states: watch::Sender::new(State::first()),
        connections: JoinSet::new(),
        counters,
    };
    let mut listener = Some(listener);
    loop {
        tokio::select! {
            accepted = accept(listener.as_ref()) => match accepted {
                Ok(client) => link.open(client),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            change = changes.recv() => {
                let Some((mode, done)) = change else { return };
                let changed = link.change(mode, &mut listener, &port).await;
                // Who asked may have stopped waiting.
                let _ = done.send(changed);
            }
            Some(_) = link.connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

/// The connections that the kernel holds for the listener at this moment. The runtime may not
/// have heard of them yet, so the kernel is asked.
fn waiting(listener: &TcpListener) -> io::Result<Vec<TcpStream>> {
    let listener = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?);
    let mut clients = Vec::new();
    while let Ok((client, _)) = listener.accept() {
        client.set_nonblocking(true)?;
        clients.push(TcpStream::from_std(client)?);
    }
    Ok(clients)
}

struct Link {
    to: SocketAddr,
    states: watch::Sender<State>,
    connections: JoinSet<()>,
    counters: Arc<Counters>,
}

impl Link {
    fn open(&mut self, client: TcpStream) {
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        let born = self.states.borrow().generation();
        let run = connection::run(
            client,
            self.to,
            born,
            self.states.subscribe(),
            Arc::clone(&self.counters),
        );
        self.connections.spawn(run);
    }

    async fn change(
        &mut self,
        mode: Mode,
        listener: &mut Option<TcpListener>,
        port: &Port,
    ) -> io::Result<()> {
        if self.states.borrow().mode() == mode {
            return Ok(());
        }
        // Whoever has connected by now belongs to the mode that ends.
        if let Some(listener) = &*listener {
            for client in waiting(listener)? {
                self.open(client);
            }
        }
        if mode == Mode::Refuse {
            *listener = None;
        } else if listener.is_none() {
            *listener = Some(port.listen()?);
        }
        self.states.send_modify(|state| state.change(mode));
        if mode == Mode::Refuse {
            while self.connections.join_next().await.is_some() {}
        }
        Ok(())
    }
}
