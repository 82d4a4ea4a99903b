#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace pannier::net {

enum class IoStatus : std::uint8_t {
  Done,        // `bytes` were moved, at least one
  WouldBlock,  // nothing now; the poller tells when
  End,         // the peer closed its sending side (reads only)
  Error        // `error` is the errno; the connection is of no use any more
};

struct IoResult {
  IoStatus status = IoStatus::Done;
  std::size_t bytes = 0;
  int error = 0;
};

// A non-blocking byte stream: one virtual call per system call. Owned by one session or upstream
// connection, used on its worker's thread. The descriptor is closed by the destructor.
class Transport {
 public:
  virtual ~Transport() = default;

  [[nodiscard]] virtual IoResult read_some(std::span<char> into) = 0;
  [[nodiscard]] virtual IoResult write_some(std::span<const iovec> from) = 0;
  [[nodiscard]] virtual int descriptor() const = 0;
};

// TCP and Unix sockets.
class SocketTransport final : public Transport {
 public:
  // Takes ownership of a connected or connecting non-blocking socket.
  explicit SocketTransport(int descriptor) : descriptor_(descriptor) {}

  ~SocketTransport() override;
  SocketTransport(const SocketTransport&) = delete;
  SocketTransport& operator=(const SocketTransport&) = delete;

  [[nodiscard]] IoResult read_some(std::span<char> into) override;
  [[nodiscard]] IoResult write_some(std::span<const iovec> from) override;

  [[nodiscard]] int descriptor() const override { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace pannier::net
