#include "vdsp/dsp/paper.hpp"

#include <sys/mman.h>
#include <unistd.h>

namespace fastrpc::vdsp {

UniqueFd make_paper(std::string_view text) {
    UniqueFd paper(::memfd_create("paper", MFD_CLOEXEC));
    if (paper && !rewrite_paper(paper.get(), text)) paper.reset();
    return paper;
}

bool rewrite_paper(int paper, std::string_view text) {
    if (text.size() > max_paper || ::ftruncate(paper, 0) != 0) return false;
    for (std::size_t at = 0; at < text.size();) {
        const ssize_t put = ::pwrite(paper, text.data() + at, text.size() - at, static_cast<off_t>(at));
        if (put <= 0) return false;
        at += static_cast<std::size_t>(put);
    }
    return true;
}

std::optional<std::string> read_paper(int paper) {
    std::string text(max_paper + 1, '\0');
    std::size_t size = 0;
    for (;;) {
        const ssize_t got = ::pread(paper, text.data() + size, text.size() - size, static_cast<off_t>(size));
        if (got < 0) return std::nullopt;
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    if (size > max_paper) return std::nullopt;
    text.resize(size);
    return text;
}

} // namespace fastrpc::vdsp
