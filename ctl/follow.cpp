// follow_files: looks four times a second while somebody follows, because sessions announce nothing of their files.
#include "ctl/files.hpp"
#include "ctl/signals.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

namespace fastrpc::ctl {
namespace {

constexpr int look_again_ms = 250;

} // namespace

Status follow_files(BusClient& client, FileReader& reader, const std::function<void(const json& file)>& print) {
    const Result<UniqueFd> ending = signals({SIGINT, SIGTERM});
    if (!ending) return std::unexpected(ending.error());
    bool here = false;
    for (bool first = true;; first = false) {
        const auto news = reader.read(client);
        const bool away = !news && (news.error().kind == ErrorKind::offline || news.error().kind == ErrorKind::lost);
        if (!news && (first || !away)) return std::unexpected(news.error());
        if (!news && here) fmt::print(stderr, "fastrpcctl: fastrpcd has ended; waiting for it\n");
        here = news.has_value();
        if (news)
            for (const json& file : (*news)["files"]) print(file);
        if (std::fflush(stdout) != 0) return {};
        std::array<pollfd, 2> wanted{pollfd{ending->get(), POLLIN, 0}, pollfd{STDOUT_FILENO, 0, 0}};
        if (::poll(wanted.data(), wanted.size(), look_again_ms) > 0) return {};
    }
}

} // namespace fastrpc::ctl
