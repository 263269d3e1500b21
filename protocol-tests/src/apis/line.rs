//! One connection to a broker, over which bodies of any API go that no type need know.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const CLIENT_ID: &[u8] = b"apis";
const SILENCE: Duration = Duration::from_secs(20);
const LARGEST: usize = 16 << 20;

pub(super) struct Line {
    socket: TcpStream,
    correlation_id: i32,
}

impl Line {
    pub(super) fn connect(address: &str) -> Line {
        let socket = TcpStream::connect(address).unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"));
        socket.set_read_timeout(Some(SILENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("a TCP socket has the option");
        Line { socket, correlation_id: 0 }
    }

    /// Sends a body behind its header; the body that comes back. `headers` are the versions of both headers.
    pub(super) fn exchange(&mut self, key: i16, version: i16, headers: (i16, i16), body: &[u8]) -> io::Result<Vec<u8>> {
        self.correlation_id += 1;
        let mut head = [key.to_be_bytes(), version.to_be_bytes()].concat();
        head.extend(self.correlation_id.to_be_bytes());
        head.extend([&(CLIENT_ID.len() as i16).to_be_bytes(), CLIENT_ID].concat());
        if headers.0 >= 2 {
            head.push(0);
        }
        let length = i32::try_from(head.len() + body.len()).expect("requests are small");
        self.socket.write_all(&[&length.to_be_bytes(), &head[..], body].concat())?;
        let answer = self.receive()?;
        // ApiVersions aside, a flexible answer has tagged fields behind its correlation id; brokers send none.
        let header = [&self.correlation_id.to_be_bytes()[..], if headers.1 >= 1 { &[0] } else { &[] }].concat();
        let body = answer.strip_prefix(&header[..]).ok_or_else(|| io::Error::other("not the header of the answer"))?;
        Ok(body.to_vec())
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|length| *length < LARGEST);
        let mut answer = vec![0; length.ok_or_else(|| io::Error::other("no length of a frame"))?];
        self.socket.read_exact(&mut answer)?;
        Ok(answer)
    }
}
