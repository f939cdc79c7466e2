//! The control API of the emulator, over real sockets.

mod access;
mod bad_input;
mod dataset;
mod documented_responses;
mod faults;
mod requests;
mod settings;
mod worlds;
