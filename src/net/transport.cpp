#include "pannier/net/transport.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace pannier::net {
namespace {

IoResult failed(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR) {
    return {IoStatus::WouldBlock, 0, 0};
  }
  return {IoStatus::Error, 0, error};
}

}  // namespace

SocketTransport::~SocketTransport() {
  ::close(descriptor_);
}

IoResult SocketTransport::read_some(std::span<char> into) {
  const ssize_t n = ::recv(descriptor_, into.data(), into.size(), 0);
  if (n > 0) {
    return {IoStatus::Done, static_cast<std::size_t>(n), 0};
  }
  return n == 0 ? IoResult{IoStatus::End, 0, 0} : failed(errno);
}

IoResult SocketTransport::write_some(std::span<const iovec> from) {
  ssize_t n = 0;
  if (from.size() == 1) {
    n = ::send(descriptor_, from[0].iov_base, from[0].iov_len, MSG_NOSIGNAL);
  } else {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(from.data());  // sendmsg does not write to them
    message.msg_iovlen = from.size();
    n = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL);
  }
  return n >= 0 ? IoResult{IoStatus::Done, static_cast<std::size_t>(n), 0} : failed(errno);
}

}  // namespace pannier::net
