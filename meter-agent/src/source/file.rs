//! The bytes of a file, read in a thread of its own: nobody has to wait for one that gives nothing, such as a terminal or a pipe,
//! before a program can end.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// Pieces of bytes that may wait to be taken, and their length.
const WAITING: usize = 4;
const PIECE: usize = 16 << 10;

/// Bytes as the thread reads them.
#[derive(Debug)]
pub(super) struct FileBytes {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    rest: Vec<u8>,
    taken: usize,
}

impl FileBytes {
    /// Starts to read a file; `-` is standard input. A file that can't be opened is the first thing that is read.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let (sender, pieces) = mpsc::channel(WAITING);
        thread::Builder::new().name("file".to_owned()).spawn(move || read(path, &sender))?;
        Ok(Self { pieces, rest: Vec::new(), taken: 0 })
    }
}

fn read(path: PathBuf, sender: &mpsc::Sender<io::Result<Vec<u8>>>) {
    let opened: io::Result<Box<dyn Read>> = if path.as_os_str() == "-" {
        Ok(Box::new(io::stdin()))
    } else {
        File::open(path).map(|file| Box::new(file) as Box<dyn Read>)
    };
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => return drop(sender.blocking_send(Err(error))),
    };
    let mut piece = vec![0; PIECE];
    loop {
        let read = match file.read(&mut piece) {
            Ok(0) => return,
            Ok(length) => Ok(piece[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = read.is_err();
        if sender.blocking_send(read).is_err() || failed {
            return;
        }
    }
}

impl AsyncRead for FileBytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken == self.rest.len() {
            match ready!(self.pieces.poll_recv(context)) {
                None => return Poll::Ready(Ok(())),
                Some(piece) => (self.rest, self.taken) = (piece?, 0),
            }
        }
        let piece = &self.rest[self.taken..];
        let length = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..length]);
        self.taken += length;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// All bytes come, whatever the pieces; a file that is not there is an error of reading.
    #[tokio::test]
    async fn every_byte_comes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bytes");
        let wanted: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 17).collect();
        std::fs::write(&path, &wanted).unwrap();
        let mut found = Vec::new();
        FileBytes::open(path).unwrap().read_to_end(&mut found).await.unwrap();
        assert!(found == wanted);
        let mut none = FileBytes::open(directory.path().join("none")).unwrap();
        assert_eq!(none.read_to_end(&mut found).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
