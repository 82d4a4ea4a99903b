#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <array>
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
long read_number(const char*& at, const char* end) {
  long number = 0;
  if (at == end) {
    return -1;
  }
  for (const char* digit = at + 1; digit < end; ++digit) {
    if (*digit == '\r') {
      at = digit + 2;
      return at <= end ? number : -1;
    }
    number = number * 10 + (*digit - '0');
  }
  return -1;
}

// The end of the request that begins at `at`, null: not whole yet. `is_get` by its first letter.
const char* request_end(const char* at, const char* end, bool& is_get) {
  const long words = read_number(at, end);
  if (words < 0) {
    return nullptr;
  }
  for (long i = 0; i < words; ++i) {
    const long size = read_number(at, end);
    if (size < 0 || end - at < size + 2) {
      return nullptr;
    }
    if (i == 0) {
      is_get = *at == 'G' || *at == 'g';
    }
    at += size + 2;
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
    const char* at = input_.data();
    const char* const end = at + used_;
    bool is_get = false;
    while (const char* next = request_end(at, end, is_get)) {
      output_ += is_get ? std::string_view(reply_) : std::string_view("+OK\r\n");
      at = next;
    }
    if (at == input_.data() && used_ == input_.size()) {
      return;  // a request larger than the buffer: not what this is for
    }
    used_ = static_cast<std::size_t>(end - at);
    std::memmove(input_.data(), at, used_);
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
