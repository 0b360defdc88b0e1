//! axum: its WebSocket extractor, and the broadcast channel of its chat example.
//!
//! Settings: `TCP_NODELAY`, small read buffer, no write buffer beyond the message that is being sent, `Lagged` skipped.

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use super::{Load, READ_BUFFER_BYTES, next_frame, ready, run, start_ticking};

/// Serves until the process ends.
///
/// # Errors
/// When it cannot listen.
pub fn serve(load: Load) -> Result<()> {
    run(async move {
        let frames = start_ticking(load);
        let router = Router::new().route("/stream", get(upgrade)).with_state(frames);
        let listener = TcpListener::bind(("127.0.0.1", load.port)).await?;
        ready(listener.local_addr()?)?;
        let listener = listener.tap_io(|stream| {
            // A stream that is gone already says so at its first read.
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, router).await?)
    })
}

async fn upgrade(upgrade: WebSocketUpgrade, State(frames): State<broadcast::Sender<Bytes>>) -> Response {
    let upgrade = upgrade.read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
    upgrade.on_upgrade(move |socket| async move {
        // A client that fails ends its own task and nothing else.
        let _ = attend(socket, frames.subscribe()).await;
    })
}

async fn attend(mut socket: WebSocket, mut frames: broadcast::Receiver<Bytes>) -> Result<(), axum::Error> {
    loop {
        tokio::select! {
            frame = next_frame(&mut frames) => match frame {
                Some(frame) => socket.send(Message::Binary(frame)).await?,
                None => return Ok(()),
            },
            // Reading answers pings and closes.
            message = socket.recv() => match message {
                Some(message) => drop(message?),
                None => return Ok(()),
            },
        }
    }
}
