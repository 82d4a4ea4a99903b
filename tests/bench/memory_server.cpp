#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

// The yardstick of near-cache hits: what the least that answers a GET from memory costs on
// Boost.Asio. One thread; every GET gets the same bytes, everything else +OK; it looks at no more
// of a request than where it ends.
//   bench_memory_server PORT VALUE_SIZE
namespace pannier::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// The number of a "*3\r\n" or "$3\r\n" at `at`, which moves behind it; -1: not there yet.
long read_number(std::string_view bytes, std::size_t& at) {
  const std::size_t end = bytes.find('\n', at);
  if (end == std::string_view::npos) {
    return -1;
  }
  long number = 0;
  std::from_chars(bytes.data() + at + 1, bytes.data() + end, number);
  at = end + 1;
  return number;
}

// The size of the request that `bytes` begin with, 0: not whole yet. `is_get` by its first letter.
std::size_t request_size(std::string_view bytes, bool& is_get) {
  std::size_t at = 0;
  const long words = read_number(bytes, at);
  if (words < 0) {
    return 0;
  }
  for (long i = 0; i < words; ++i) {
    const long size = at < bytes.size() ? read_number(bytes, at) : -1;
    if (size < 0 || at + static_cast<std::size_t>(size) + 2 > bytes.size()) {
      return 0;
    }
    if (i == 0) {
      is_get = bytes[at] == 'G' || bytes[at] == 'g';
    }
    at += static_cast<std::size_t>(size) + 2;
  }
  return at;
}

// Keeps itself alive while something is under way.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, const std::string& reply)
      : socket_(std::move(socket)),
        reply_(reply) {}

  void read() {
    socket_.async_read_some(
        asio::buffer(input_.data() + used_, input_.size() - used_),
        [self = shared_from_this()](boost::system::error_code error, std::size_t count) {
          if (!error) {
            self->used_ += count;
            self->answer();
          }
        });
  }

 private:
  void answer() {
    std::string_view left(input_.data(), used_);
    bool is_get = false;
    while (const std::size_t size = request_size(left, is_get)) {
      output_ += is_get ? std::string_view(reply_) : std::string_view("+OK\r\n");
      left.remove_prefix(size);
    }
    if (used_ == input_.size() && left.size() == used_) {
      return;  // a request larger than the buffer: not what this is for
    }
    std::memmove(input_.data(), left.data(), left.size());
    used_ = left.size();
    output_.empty() ? read() : write();
  }

  void write() {
    asio::async_write(socket_,
                      asio::buffer(output_),
                      [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                        if (!error) {
                          self->output_.clear();
                          self->read();
                        }
                      });
  }

  tcp::socket socket_;
  const std::string& reply_;
  std::array<char, 64 << 10> input_{};
  std::size_t used_ = 0;
  std::string output_;
};

void accept(tcp::acceptor& acceptor, const std::string& reply) {
  acceptor.async_accept([&](boost::system::error_code error, tcp::socket socket) {
    if (!error) {
      socket.set_option(tcp::no_delay(true));
      std::make_shared<Session>(std::move(socket), reply)->read();
    }
    accept(acceptor, reply);
  });
}

int serve(unsigned short port, std::size_t value_size) {
  const std::string reply =
      "$" + std::to_string(value_size) + "\r\n" + std::string(value_size, 'x') + "\r\n";
  asio::io_context context(1);
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), port}, true);
  acceptor.listen(4096);
  accept(acceptor, reply);
  context.run();
  return 0;
}

}  // namespace
}  // namespace pannier::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: bench_memory_server PORT VALUE_SIZE\n", stderr);
    return 2;
  }
  return pannier::bench::serve(static_cast<unsigned short>(std::atoi(argv[1])),
                               static_cast<std::size_t>(std::atol(argv[2])));
}
