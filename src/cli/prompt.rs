//! Reads a secret from the terminal, without echo.
//!
//! Echo is restored however the prompt ends: with a value, an error, a panic, or a signal. Input that was typed before
//! the prompt is discarded, and so is what follows the line, so that no part of a pasted secret reaches the shell.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::envelope::SecretBytes;
use crate::signals::{self, Event, Registration};

/// More than anybody types; the buffer never grows, so no copy of the secret is left behind.
const MAX_LEN: usize = 64 << 10;
/// Pasted text arrives in bursts with gaps far below this.
const PASTE_GAP: Duration = Duration::from_millis(150);
/// Gives up discarding input after this time.
const MAX_DRAIN: Duration = Duration::from_secs(10);

/// Why no value was read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PromptError {
    /// The process has no terminal.
    #[error("there is no terminal")]
    NoTerminal,
    /// Ctrl-D before anything else, or the terminal was closed.
    #[error("nothing was entered")]
    Ended,
    /// A pasted value with several lines.
    #[error("more input follows the first line; nothing was used")]
    SeveralLines,
    /// A tab, an arrow key, a pasted escape sequence.
    #[error("the input has control characters, such as a tab; nothing was used")]
    ControlCharacters,
    /// More than [`MAX_LEN`] bytes.
    #[error("the input has more than {} KiB", MAX_LEN >> 10)]
    TooLong,
    /// The terminal failed.
    #[error("cannot read from the terminal: {0}")]
    Io(#[from] io::Error),
}

/// Prints `prompt` on the terminal and reads one line, whatever the standard streams are connected to.
pub(super) fn read_line(prompt: &str) -> Result<SecretBytes, PromptError> {
    let device = File::options().read(true).write(true).open("/dev/tty");
    let terminal = Terminal::hide_input(device.map_err(|_| PromptError::NoTerminal)?, prompt)?;
    let line = terminal.read();
    // The line end was not echoed.
    let _ = (&*terminal.device).write_all(b"\n");
    line
}

/// The terminal while input is hidden.
struct Terminal {
    device: Arc<File>,
    original: Termios,
    _on_signal: Registration,
}

impl Terminal {
    fn hide_input(device: File, prompt: &str) -> Result<Self, PromptError> {
        let original = tcgetattr(&device).map_err(io::Error::from)?;
        let mut hidden = original.clone();
        // Not canonical, since that limits a line to 4095 bytes. Signals stay enabled.
        hidden
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;

        let device = Arc::new(device);
        let on_signal = {
            let (device, original, hidden) = (Arc::clone(&device), original.clone(), hidden.clone());
            let prompt = format!("\n{prompt}");
            signals::on_event(move |event| match event {
                Event::Terminate | Event::Stop => {
                    let _ = set(&device, &original);
                }
                Event::Resume => {
                    let _ = set(&device, &hidden).and_then(|()| (&*device).write_all(prompt.as_bytes()));
                }
            })?
        };
        let terminal = Terminal {
            device,
            original,
            _on_signal: on_signal,
        };
        set(&terminal.device, &hidden)?;
        (&*terminal.device).write_all(prompt.as_bytes())?;
        Ok(terminal)
    }

    fn read(&self) -> Result<SecretBytes, PromptError> {
        let codes = &self.original.special_codes;
        let mut line = Line::new(codes[SpecialCodeIndex::VERASE], codes[SpecialCodeIndex::VKILL]);
        let mut chunk = Zeroizing::new([0; 1024]);
        let result = loop {
            let read = match (&*self.device).read(&mut chunk[..]) {
                Ok(0) => break Err(PromptError::Ended),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let mut bytes = chunk[..read].iter();
            if let Some(ended) = bytes.find_map(|byte| line.push(*byte)) {
                let more = bytes.len() > 0 || self.has_input(PASTE_GAP)?;
                break if more {
                    Err(PromptError::SeveralLines)
                } else {
                    ended
                };
            }
        };
        if result.is_err() {
            self.drain()?;
        }
        result?;
        Ok(SecretBytes::new(line.bytes.to_vec()))
    }

    /// Whether input arrives in this time.
    fn has_input(&self, within: Duration) -> Result<bool, PromptError> {
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut polled = [PollFd::from_borrowed_fd(self.device.as_fd(), PollFlags::IN)];
            match poll(&mut polled, Some(&timeout)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// Discards the rest of a paste.
    fn drain(&self) -> Result<(), PromptError> {
        let started = Instant::now();
        let mut chunk = Zeroizing::new([0; 1024]);
        while started.elapsed() < MAX_DRAIN && self.has_input(PASTE_GAP)? {
            if (&*self.device).read(&mut chunk[..])? == 0 {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = set(&self.device, &self.original);
    }
}

/// Discards pending input.
fn set(device: &File, modes: &Termios) -> io::Result<()> {
    Ok(tcsetattr(device, OptionalActions::Flush, modes)?)
}

/// The line so far.
struct Line {
    bytes: Zeroizing<Vec<u8>>,
    erase: u8,
    kill: u8,
    has_control: bool,
    too_long: bool,
}

impl Line {
    fn new(erase: u8, kill: u8) -> Self {
        Line {
            bytes: Zeroizing::new(Vec::with_capacity(MAX_LEN)),
            erase,
            kill,
            has_control: false,
            too_long: false,
        }
    }

    /// Adds a byte; returns the result when it ends the line.
    fn push(&mut self, byte: u8) -> Option<Result<(), PromptError>> {
        const CTRL_D: u8 = 4;
        match byte {
            b'\n' | b'\r' => return Some(self.end()),
            CTRL_D if self.bytes.is_empty() && !self.has_control => return Some(Err(PromptError::Ended)),
            CTRL_D => return Some(self.end()),
            8 | 127 => self.erase(),
            _ if byte == self.erase => self.erase(),
            _ if byte == self.kill => self.bytes.clear(),
            _ if byte.is_ascii_control() => self.has_control = true,
            _ if self.bytes.len() == MAX_LEN => self.too_long = true,
            _ => self.bytes.push(byte),
        }
        None
    }

    /// Removes the last character.
    fn erase(&mut self) {
        let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
        while self.bytes.pop().is_some_and(is_continuation) {}
    }

    fn end(&self) -> Result<(), PromptError> {
        let controls = std::str::from_utf8(&self.bytes).is_ok_and(|text| text.chars().any(char::is_control));
        if self.has_control || controls {
            Err(PromptError::ControlCharacters)
        } else if self.too_long {
            Err(PromptError::TooLong)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(input: &[u8]) -> Result<Vec<u8>, String> {
        let mut line = Line::new(0x7f, 0x15);
        let ended = input.iter().find_map(|byte| line.push(*byte));
        ended.expect("ended").map_err(|error| error.to_string())?;
        Ok(line.bytes.to_vec())
    }

    #[test]
    fn line_is_edited_as_in_a_terminal() {
        for (input, value) in [
            (&b"abc\n"[..], &b"abc"[..]),
            (b"abc\r", b"abc"),
            (b"ab\x7fc\n", b"ac"),
            (b"\x08\x7fa\n", b"a"),
            ("aü\x7fb\n".as_bytes(), b"ab"),
            (b"wrong\x15right\n", b"right"),
            (b"abc\x04", b"abc"),
            (b"\n", b""),
            (b"\xff\xfe\n", b"\xff\xfe"),
        ] {
            assert_eq!(typed(input).as_deref(), Ok(value), "{input:?}");
        }
    }

    #[test]
    fn control_characters_and_long_lines_are_refused() {
        for input in [&b"a\tb\n"[..], b"\x1b[A\n", b"a\0\n", "a\u{85}b\n".as_bytes()] {
            let error = typed(input).expect_err("refused");
            assert!(error.contains("control characters"), "{error}");
        }
        assert!(typed(b"\x04").is_err_and(|error| error == "nothing was entered"));
        let long = [vec![b'a'; MAX_LEN + 1], vec![b'\n']].concat();
        assert!(typed(&long).is_err_and(|error| error.contains("64 KiB")));
        assert_eq!(typed(&long[1..]).map(|value| value.len()), Ok(MAX_LEN));
    }
}
