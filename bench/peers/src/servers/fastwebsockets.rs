//! fastwebsockets: hyper does the handshake, the socket is split as in its `echo_server_split` example.
//!
//! Settings: `TCP_NODELAY`, vectored writes (the default) so that a shared payload is never copied, `Lagged` skipped.

use std::convert::Infallible;

use anyhow::Result;
use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};

use super::{Load, next_frame, ready, run, start_ticking};

/// Answers to pings and closes that wait for the frame in writing.
const ANSWERS_MAX: usize = 4;

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
            let frames = frames.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| greet(request, frames.clone()));
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A client that fails ends its own task and nothing else.
                let _ = serving.with_upgrades().await;
            });
        }
    })
}

async fn greet(
    mut request: Request<Incoming>,
    frames: broadcast::Sender<Bytes>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade(&mut request)?;
    tokio::spawn(async move { attend(upgraded, frames.subscribe()).await });
    Ok(response)
}

async fn attend(upgraded: UpgradeFut, mut frames: broadcast::Receiver<Bytes>) -> Result<(), WebSocketError> {
    let (reader, mut writer) = upgraded.await?.split(tokio::io::split);
    let (answer, mut answers) = mpsc::channel(ANSWERS_MAX);
    let reading = async move {
        let mut reader = FragmentCollectorRead::new(reader);
        let mut send = |frame: Frame<'_>| {
            let owned = Frame::new(frame.fin, frame.opcode, None, Payload::Owned(frame.payload.to_vec()));
            // A client whose pings come faster than they can be answered loses answers.
            let _ = answer.try_send(owned);
            std::future::ready(Ok::<_, Infallible>(()))
        };
        while let Ok(frame) = reader.read_frame(&mut send).await {
            if frame.opcode == OpCode::Close {
                break;
            }
        }
    };
    // One future from first to last: a read that is given up in the middle of a message loses its place.
    tokio::pin!(reading);
    loop {
        tokio::select! {
            frame = next_frame(&mut frames) => match frame {
                Some(frame) => writer.write_frame(Frame::binary(Payload::Borrowed(&frame))).await?,
                None => return Ok(()),
            },
            Some(answer) = answers.recv() => writer.write_frame(answer).await?,
            () = &mut reading => return Ok(()),
        }
    }
}
