//! tokio-tungstenite: a task a connection, which waits for the broadcast channel and for its client.
//!
//! Settings: `TCP_NODELAY`, small read buffer, no write buffer beyond the message that is being sent, `Lagged` skipped.

use anyhow::Result;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_tungstenite::accept_async_with_config;
use tungstenite::Message;
use tungstenite::protocol::WebSocketConfig;

use super::{Load, READ_BUFFER_BYTES, next_frame, ready, run, start_ticking};

/// Serves until the process ends.
///
/// # Errors
/// When it cannot listen.
pub fn serve(load: Load) -> Result<()> {
    run(async move {
        let frames = start_ticking(load);
        let listener = TcpListener::bind(("127.0.0.1", load.port)).await?;
        ready(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let frames = frames.subscribe();
            // A client that fails ends its own task and nothing else.
            tokio::spawn(async move { attend(stream, frames).await });
        }
    })
}

async fn attend(stream: TcpStream, mut frames: broadcast::Receiver<Bytes>) -> tungstenite::Result<()> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    loop {
        tokio::select! {
            frame = next_frame(&mut frames) => match frame {
                Some(frame) => socket.send(Message::Binary(frame)).await?,
                None => return Ok(()),
            },
            // Reading answers pings and closes.
            message = socket.next() => match message {
                Some(message) => drop(message?),
                None => return Ok(()),
            },
        }
    }
}
