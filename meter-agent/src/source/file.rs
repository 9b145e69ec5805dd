//! The bytes of a file, read in a thread of its own. A file that gives nothing, such as a terminal or a pipe, then keeps no
//! program from ending.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::thread;

use tokio::sync::mpsc;

/// Pieces of bytes that may wait, and their length.
const WAITING: usize = 4;
const PIECE: usize = 16 << 10;

/// A file's bytes, piece by piece.
pub(super) type Pieces = mpsc::Receiver<io::Result<Vec<u8>>>;

/// Starts to read a file; `-` is standard input. If the file can't be opened, the error is the first piece.
pub(super) fn pieces(path: PathBuf) -> io::Result<Pieces> {
    let (sender, pieces) = mpsc::channel(WAITING);
    thread::Builder::new().name("file".to_owned()).spawn(move || {
        let sent = |piece| sender.blocking_send(piece).is_ok();
        if let Err(error) = read(path, &sent) {
            sent(Err(error));
        }
    })?;
    Ok(pieces)
}

fn read(path: PathBuf, sent: &impl Fn(io::Result<Vec<u8>>) -> bool) -> io::Result<()> {
    let mut file: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(length @ 1..) if sent(Ok(piece[..length].to_vec())) => {}
            read => return read.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All bytes come, whatever the pieces; a file that is not there is an error of reading.
    #[tokio::test]
    async fn every_byte_comes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bytes");
        let wanted: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 17).collect();
        std::fs::write(&path, &wanted).unwrap();
        let (mut found, mut read) = (Vec::new(), pieces(path).unwrap());
        while let Some(piece) = read.recv().await {
            found.extend(piece.unwrap());
        }
        assert!(found == wanted);
        let mut none = pieces(directory.path().join("none")).unwrap();
        assert_eq!(none.recv().await.unwrap().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
