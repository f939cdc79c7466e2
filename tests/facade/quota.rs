//! The shared upstream quota: the fair queue before the rate limiter, and the circuit breaker.

mod circuit_breaker;
mod fair_queue;
