//! What waits to be written to an agent: pieces as they came, so that an answer is copied by nobody but the kernel.

use std::collections::VecDeque;
use std::io::{Result, Write};

use bytes::{Buf, Bytes};

use crate::net::outbound::write_pieces;

/// Pieces in one `writev`.
const PIECES_PER_WRITE_MAX: usize = 16;

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// None of them is empty.
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Output {
    /// Appends bytes without copying them.
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.left += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Appends a copy.
    pub(super) fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.push(Bytes::copy_from_slice(bytes));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Bytes that are not written.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Writes once, one piece or several. Returns how many bytes were taken.
    ///
    /// # Errors
    /// As `sink` has it; nothing was taken then.
    pub(super) fn write_to(&mut self, sink: &mut impl Write) -> Result<usize> {
        let mut pieces: [&[u8]; PIECES_PER_WRITE_MAX] = [&[]; PIECES_PER_WRITE_MAX];
        pieces.iter_mut().zip(&self.pieces).for_each(|(place, piece)| *place = piece);
        let taken = write_pieces(sink, &pieces)?;
        self.take(taken);
        Ok(taken)
    }

    fn take(&mut self, mut taken: usize) {
        self.left = self.left.saturating_sub(taken);
        while let Some(first) = self.pieces.front_mut() {
            if taken < first.len() {
                return first.advance(taken);
            }
            taken -= first.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;

    /// Takes so many bytes of each write, as a socket does.
    struct Narrow {
        width: usize,
        taken: Vec<u8>,
        writes: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.writes += 1;
            let count = bytes.len().min(self.width);
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
            let bytes = slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>();
            self.write(&bytes)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_byte_leaves_once_and_in_order_whatever_a_write_takes() {
        let pieces = ["", "a", "bcd", "", "efghijkl", "m"].into_iter().chain(std::iter::repeat_n("nop", 40));
        let all: String = pieces.clone().collect();
        for width in 1..=all.len() {
            let (mut output, mut sink) = (Output::default(), Narrow { width, taken: Vec::new(), writes: 0 });
            pieces.clone().for_each(|piece| output.extend_from_slice(piece.as_bytes()));
            assert_eq!(output.left(), all.len());
            while !output.is_empty() {
                let before = output.left();
                let taken = output.write_to(&mut sink).unwrap();
                assert!(taken > 0);
                assert_eq!(output.left(), before - taken);
            }
            assert_eq!(sink.taken, all.as_bytes());
            assert!(sink.writes >= all.len().div_ceil(width));
        }
    }

    #[test]
    fn what_is_pushed_is_not_copied() {
        let answer = Bytes::from(vec![7; 1_000]);
        let mut output = Output::default();
        output.push(answer.clone());
        assert_eq!(output.pieces.front().map(|piece| piece.as_ptr()), Some(answer.as_ptr()));
    }
}
