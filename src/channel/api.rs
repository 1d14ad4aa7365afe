//! The channel API: a telephone system, a counter, a home-visit desk as a real channel.
