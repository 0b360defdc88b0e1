//! One connection that asks and waits.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A connection that is kept.
pub struct Http {
    stream: BufReader<TcpStream>,
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Http {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream: BufReader::new(stream), head: Vec::new(), body: Vec::new() })
    }

    /// Sends a body and takes the answer; its status must be 200 or 201.
    pub fn post(&mut self, path: &str, body: &str) -> Result<&[u8]> {
        self.head.clear();
        write!(self.head, "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        self.stream.get_mut().write_all(&self.head)?;
        let (mut line, mut bytes, mut status) = (String::new(), 0, 0);
        loop {
            line.clear();
            ensure!(self.stream.read_line(&mut line)? > 0, "the server closed the connection");
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
                status = rest.get(..3).context("a status")?.parse()?;
            }
            if let Some(length) = text.to_ascii_lowercase().strip_prefix("content-length:") {
                bytes = length.trim().parse()?;
            }
        }
        self.body.resize(bytes, 0);
        self.stream.read_exact(&mut self.body)?;
        ensure!(matches!(status, 200 | 201), "{status}: {}", String::from_utf8_lossy(&self.body));
        Ok(&self.body)
    }
}
