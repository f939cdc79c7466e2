//! The tests of the whole service, over real sockets.

mod signature;
