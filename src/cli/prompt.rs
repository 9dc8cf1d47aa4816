//! Reads a secret from the terminal, without echo.
//!
//! Echo is restored however the prompt ends: with a value, an error, a panic, or a signal. Input that was typed before
//! the prompt is discarded, and so is what follows the line, so that no part of a pasted secret reaches the shell.
//!
//! Bracketed paste is on during the prompt: the terminal marks the begin and the end of a paste, however slowly it
//! arrives. Input that follows the line without a break is taken for a paste too, for terminals that lack the marks.

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
/// Gives up waiting for the end of a marked paste when nothing arrives for this time.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Switches bracketed paste on and off (xterm, "ctlseqs", DECSET 2004). Terminals that lack it ignore them.
const MARK_PASTES: &[u8] = b"\x1b[?2004h";
const LEAVE_PASTES: &[u8] = b"\x1b[?2004l";

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
    /// Another encoding, or binary data.
    #[error("the input is not valid UTF-8; nothing was used")]
    NotUtf8,
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
    /// What ends bracketed paste.
    leave: &'static [u8],
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

        // A terminal that interprets nothing, such as Emacs' shell, would show the sequences.
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let (marks, leave) = if is_dumb {
            (b"".as_slice(), b"".as_slice())
        } else {
            (MARK_PASTES, LEAVE_PASTES)
        };
        let device = Arc::new(device);
        let on_signal = {
            let (device, original, hidden) = (Arc::clone(&device), original.clone(), hidden.clone());
            let prompt = [marks, b"\n", prompt.as_bytes()].concat();
            signals::on_event(move |event| match event {
                Event::Terminate | Event::Stop => restore(&device, &original, leave),
                Event::Resume => {
                    let _ = set(&device, &hidden).and_then(|()| (&*device).write_all(&prompt));
                }
            })?
        };
        let terminal = Terminal {
            device,
            original,
            leave,
            _on_signal: on_signal,
        };
        set(&terminal.device, &hidden)?;
        (&*terminal.device).write_all(&[marks, prompt.as_bytes()].concat())?;
        Ok(terminal)
    }

    fn read(&self) -> Result<SecretBytes, PromptError> {
        let codes = &self.original.special_codes;
        let mut line = Line::new(codes[SpecialCodeIndex::VERASE], codes[SpecialCodeIndex::VKILL]);
        let mut marks = Marks::default();
        let mut chunk = Zeroizing::new([0; 1024]);
        let mut ended = None;
        let result = loop {
            // Once the line has ended, only the end of a paste may follow.
            if let Some(line) = ended.take() {
                let wait = if marks.pasting { MAX_PAUSE } else { PASTE_GAP };
                match self.has_input(wait)? {
                    true => ended = Some(line),
                    false if marks.pasting => break Err(PromptError::SeveralLines),
                    false => break line,
                }
            }
            let read = match (&*self.device).read(&mut chunk[..]) {
                Ok(0) => break Err(PromptError::Ended),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let mut follows = false;
            for byte in &chunk[..read] {
                // A line that is copied from Windows ends twice, and a terminal may add another end.
                let is_end = marks.pasting && matches!(byte, b'\n' | b'\r');
                marks.push(*byte, |byte| match &ended {
                    None => ended = line.push(byte),
                    Some(_) => follows = follows || !is_end,
                });
            }
            if follows {
                break Err(PromptError::SeveralLines);
            }
        };
        if result.is_err() {
            self.drain(marks)?;
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
    fn drain(&self, mut marks: Marks) -> Result<(), PromptError> {
        let started = Instant::now();
        let mut chunk = Zeroizing::new([0; 1024]);
        loop {
            let within = match marks.pasting {
                true => MAX_PAUSE,
                false if started.elapsed() < MAX_DRAIN => PASTE_GAP,
                false => return Ok(()),
            };
            if !self.has_input(within)? {
                return Ok(());
            }
            match (&*self.device).read(&mut chunk[..])? {
                0 => return Ok(()),
                read => chunk[..read].iter().for_each(|byte| marks.push(*byte, |_| {})),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore(&self.device, &self.original, self.leave);
    }
}

/// Discards pending input.
fn restore(mut device: &File, original: &Termios, leave: &[u8]) {
    let _ = device.write_all(leave);
    let _ = set(device, original);
}

/// Discards pending input.
fn set(device: &File, modes: &Termios) -> io::Result<()> {
    Ok(tcsetattr(device, OptionalActions::Flush, modes)?)
}

/// Removes the marks of bracketed paste from the input.
#[derive(Default)]
struct Marks {
    /// The beginning of a mark, held back.
    held: usize,
    /// Whether a paste has begun and not ended.
    pasting: bool,
}

impl Marks {
    const BEGIN: &[u8; 6] = b"\x1b[200~";
    const END: &[u8; 6] = b"\x1b[201~";

    /// Passes on the bytes that are not part of a mark.
    fn push(&mut self, byte: u8, mut pass: impl FnMut(u8)) {
        let expected = if self.pasting { Self::END } else { Self::BEGIN };
        if byte == expected[self.held] {
            self.held += 1;
            if self.held == expected.len() {
                self.held = 0;
                self.pasting = !self.pasting;
            }
            return;
        }
        let held = std::mem::take(&mut self.held);
        expected[..held].iter().for_each(|byte| pass(*byte));
        if byte == expected[0] {
            self.held = 1;
        } else {
            pass(byte);
        }
    }
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
        let text = std::str::from_utf8(&self.bytes);
        if self.has_control || text.is_ok_and(|text| text.chars().any(char::is_control)) {
            Err(PromptError::ControlCharacters)
        } else if self.too_long {
            Err(PromptError::TooLong)
        } else if text.is_err() {
            Err(PromptError::NotUtf8)
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
        ] {
            assert_eq!(typed(input).as_deref(), Ok(value), "{input:?}");
        }
    }

    #[test]
    fn marks_of_a_paste_are_removed_however_they_are_split() {
        for (input, passed, pasting) in [
            (&b"a\x1b[200~b\nc\x1b[201~d"[..], &b"ab\ncd"[..], false),
            (b"\x1b[200~a", b"a", true),
            (b"\x1b[200~\x1b[200~", b"\x1b[200~", true),
            (b"\x1b[201~", b"\x1b[201~", false),
            (b"\x1b\x1b[200~", b"\x1b", true),
            (b"\x1b[A", b"\x1b[A", false),
        ] {
            let (mut marks, mut out) = (Marks::default(), Vec::new());
            for byte in input {
                marks.push(*byte, |byte| out.push(byte));
            }
            assert_eq!((out.as_slice(), marks.pasting), (passed, pasting), "{input:?}");
        }
    }

    #[test]
    fn control_characters_and_long_lines_are_refused() {
        for input in [&b"a\tb\n"[..], b"\x1b[A\n", b"a\0\n", "a\u{85}b\n".as_bytes()] {
            let error = typed(input).expect_err("refused");
            assert!(error.contains("control characters"), "{error}");
        }
        for input in [&b"\xff\xfe\n"[..], b"gr\xfcn\n", b"a\xe2\x82\n"] {
            assert!(typed(input).is_err_and(|error| error.contains("not valid UTF-8")));
        }
        assert!(typed(b"\x04").is_err_and(|error| error == "nothing was entered"));
        let long = [vec![b'a'; MAX_LEN + 1], vec![b'\n']].concat();
        assert!(typed(&long).is_err_and(|error| error.contains("64 KiB")));
        assert_eq!(typed(&long[1..]).map(|value| value.len()), Ok(MAX_LEN));
    }
}
