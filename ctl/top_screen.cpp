// run_top: the terminal, its keys and its size.
#include "ctl/queries.hpp"
#include "ctl/signals.hpp"
#include "ctl/tool.hpp"
#include "ctl/top.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fmt/core.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

namespace fastrpc::ctl {
namespace {

struct Size {
    std::size_t lines = 24;
    std::size_t columns = 80;
};

// COLUMNS is for output that is no terminal, e.g. a file.
Size size_of_screen() {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
        return {std::max<std::size_t>(3, window.ws_row), window.ws_col};
    const char* columns = std::getenv("COLUMNS");
    const long wanted = columns == nullptr ? 0 : std::strtol(columns, nullptr, 10);
    return {SIZE_MAX, wanted > 0 ? static_cast<std::size_t>(wanted) : 80};
}

/// The other screen, without a cursor and with keys that come at once; as it was when it goes.
class Screen {
public:
    Screen() {
        ::tcgetattr(STDIN_FILENO, &before_);
        termios raw = before_;
        raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        fmt::print("\x1b[?1049h\x1b[?25l");
    }
    ~Screen() {
        fmt::print("\x1b[?25h\x1b[?1049l");
        std::fflush(stdout);
        ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    /// Only as many lines as there are; each clears the rest of its own.
    void draw(const std::string& text, std::size_t lines) const {
        std::string out = "\x1b[H";
        std::size_t drawn = 0;
        for (std::size_t begin = 0; begin < text.size() && drawn < lines; ++drawn) {
            const std::size_t end = text.find('\n', begin);
            out += (drawn == 0 ? "" : "\r\n") + text.substr(begin, end - begin) + "\x1b[K";
            begin = end + 1;
        }
        fmt::print("{}\x1b[J", out);
        std::fflush(stdout);
    }

private:
    termios before_{};
};

/// What a key does; false to quit.
bool obey(char key, TopOptions& options) {
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case 'u':
        options.by_uid = !options.by_uid;
        break;
    case 'c':
        options.sort = "calls";
        break;
    case 'b':
        options.sort = "bytes";
        break;
    case 'm':
        options.sort = "p50";
        break;
    case 'l':
        options.sort = "p99";
        break;
    case 'f':
        options.sort = "files";
        break;
    case 'o':
        options.sort = "owner";
        break;
    default:
        break;
    }
    return true;
}

enum class Next { again, look, quit };

// Waits for the next look, a key or a signal.
Next wait(int fd, bool keys, int milliseconds, TopOptions& options) {
    std::array<pollfd, 3> wanted{pollfd{fd, POLLIN, 0}, pollfd{keys ? STDIN_FILENO : -1, POLLIN, 0},
                                 pollfd{keys ? -1 : STDOUT_FILENO, 0, 0}};
    const int ready = ::poll(wanted.data(), wanted.size(), milliseconds);
    if (ready == 0) return Next::look;
    if (ready < 0) return errno == EINTR ? Next::again : Next::quit;
    if (wanted[2].revents != 0) return Next::quit; // nobody reads any more
    if (wanted[0].revents != 0) {
        signalfd_siginfo news{};
        return ::read(fd, &news, sizeof news) == sizeof news && news.ssi_signo == SIGWINCH ? Next::again : Next::quit;
    }
    char key = 0;
    return ::read(STDIN_FILENO, &key, 1) == 1 && obey(key, options) ? Next::again : Next::quit;
}

} // namespace

Status run_top(BusClient& client, TopOptions options, const Tool& tool) {
    const bool live = !options.batch && !tool.as_json();
    if (live && (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1))
        return fail(ErrorKind::invalid, "top needs a terminal; without one, say --batch (and -n for how many tables)");
    const auto fd = signals({SIGINT, SIGTERM, SIGWINCH});
    if (!fd) return std::unexpected(fd.error());
    const std::unique_ptr<Screen> screen(live ? new Screen : nullptr);
    Usage usage;
    for (std::uint64_t done = 0; options.tables == 0 || done < options.tables;) {
        const auto list = query_list(client);
        if (!list) return std::unexpected(list.error());
        const auto now = Usage::Clock::now();
        // By session and by user without a new look: a key wants its answer at once.
        Usage after = usage;
        const auto draw = [&] {
            Usage from = usage;
            const json table = from.table(*list, now, options.by_uid, options.sort);
            after = std::move(from);
            const Size size = size_of_screen();
            if (screen)
                screen->draw(top_text(table, tool.style(), size.columns), size.lines);
            else
                tool.print_line(table, [&](const json& all, const Style& style) {
                    return top_text(all, style, size.columns) + '\n';
                });
        };
        draw();
        if (++done == options.tables) break;
        Next next = Next::again;
        const auto until =
            now + std::chrono::duration_cast<Usage::Clock::duration>(std::chrono::duration<double>(options.delay));
        while (next == Next::again) {
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(until - Usage::Clock::now()).count();
            next = wait(fd->get(), live, static_cast<int>(std::max<std::int64_t>(0, left)), options);
            if (next == Next::again && screen) draw();
        }
        if (next == Next::quit) break;
        usage = std::move(after);
    }
    return {};
}

} // namespace fastrpc::ctl
