// nlohmann's parser tells its handler values, not places; so it reads through an iterator that watches the characters
// go by and remembers where the last token began. The parser is not recursive and looks ahead by one character at most,
// and only after a number, where no other token can begin.
#include "settings/located_json.hpp"

#include "settings/quote.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

namespace fastrpc::settings {
namespace {

// Follows the characters; knows just enough of JSON to tell where tokens begin.
class Watcher {
public:
    void see(char c) noexcept {
        if (fresh_line_) {
            here_ = {here_.line + 1, 0};
            fresh_line_ = false;
        }
        if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) ++here_.column; // not inside a UTF-8 character
        fresh_line_ = c == '\n';
        if (in_string_) {
            if (escaped_)
                escaped_ = false;
            else if (c == '\\')
                escaped_ = true;
            else
                in_string_ = c != '"';
            return;
        }
        const bool separates =
            c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ':' || c == ']' || c == '}';
        if (!separates && (!in_token_ || c == '"' || c == '[' || c == '{')) token_ = here_;
        in_token_ = !separates && c != '[' && c != '{' && c != '"';
        in_string_ = c == '"';
    }
    [[nodiscard]] Place here() const noexcept { return {here_.line, std::max(here_.column, 1U)}; }
    [[nodiscard]] Place token() const noexcept { return token_; }

private:
    Place here_{1, 0};
    Place token_{1, 1};
    bool fresh_line_ = false;
    bool in_string_ = false;
    bool escaped_ = false;
    bool in_token_ = false;
};

struct WatchedIterator {
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    const char* at = nullptr;
    Watcher* watcher = nullptr;

    reference operator*() const { return *at; }
    WatchedIterator& operator++() {
        watcher->see(*at++);
        return *this;
    }
    WatchedIterator operator++(int) {
        WatchedIterator old = *this;
        ++*this;
        return old;
    }
    friend bool operator==(const WatchedIterator& a, const WatchedIterator& b) { return a.at == b.at; }
    friend bool operator!=(const WatchedIterator& a, const WatchedIterator& b) { return a.at != b.at; }
};

// What people most often meant where the parser cannot read on; empty when that is unclear.
std::string_view hint_for(std::string_view error) {
    const auto says = [&](std::string_view part) { return error.find(part) != std::string_view::npos; };
    if (const auto at = error.find("invalid literal; last read: '"); at != std::string_view::npos) {
        // What was read ends with the character that begins no literal.
        const std::string_view read = error.substr(error.find('\'', at) + 1);
        if (read.find("/'") != std::string_view::npos || read.find("#'") != std::string_view::npos)
            return " (JSON has no comments)";
        if (read.find("''") != std::string_view::npos) return " (strings stand between double quotes)";
        return {};
    }
    if (says("object key - unexpected '}'") || says("value - unexpected ']'"))
        return " (is the comma before it too much?)";
    if (says("end of input")) return {};
    if (says("; expected ']'") || says("; expected '}'")) return " (is a comma missing?)";
    return {};
}

// Builds the tree. A false return stops the parser; `problem` then says why.
class Builder : public nlohmann::json_sax<nlohmann::json> {
public:
    Builder(std::string_view file, const Watcher& watcher) : file_(file), watcher_(watcher) {}

    Result<JsonValue> result(bool complete) {
        if (!complete) return std::unexpected(problem_);
        return std::move(root_);
    }

    bool null() override { return put(JsonType::null) != nullptr; }
    bool boolean(bool value) override {
        put(JsonType::boolean)->boolean = value;
        return true;
    }
    bool number_integer(number_integer_t value) override {
        put(JsonType::integer)->integer = value;
        return true;
    }
    bool number_unsigned(number_unsigned_t value) override {
        const bool fits = value <= static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max());
        put(fits ? JsonType::integer : JsonType::real)->integer = fits ? static_cast<std::int64_t>(value) : 0;
        return true;
    }
    bool number_float(number_float_t, const string_t&) override { return put(JsonType::real) != nullptr; }
    bool string(string_t& value) override {
        put(JsonType::string)->string = std::move(value);
        return true;
    }
    bool binary(binary_t&) override { return false; } // not in JSON text
    bool start_object(std::size_t) override { return open(JsonType::object); }
    bool key(string_t& value) override {
        JsonValue& object = *open_.back();
        if (const JsonMember* first = object.find(value))
            return refuse(watcher_.token(),
                          fmt::format("the key {} is here twice; first in line {}", quote(value), first->place.line));
        if (object.members.size() == max_json_keys)
            return refuse(watcher_.token(), fmt::format("an object of more than {} keys", max_json_keys));
        object.members.push_back({std::move(value), watcher_.token(), {}});
        return true;
    }
    bool end_object() override { return close(); }
    bool start_array(std::size_t) override { return open(JsonType::array); }
    bool end_array() override { return close(); }
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) override {
        // "[json.exception...] parse error at line 1, column 2: syntax error while ...": the place is ours to say.
        std::string_view what = error.what();
        const std::string_view hint = hint_for(what);
        if (const auto start = what.find("syntax error"); start != std::string_view::npos) what.remove_prefix(start);
        if (const auto tail = what.find("; last read"); tail != std::string_view::npos) what = what.substr(0, tail);
        const bool at_mark = what.find("unexpected '") != std::string_view::npos; // a bracket, comma or colon
        const bool at_end = what.find("unexpected end") != std::string_view::npos;
        return refuse(at_mark || at_end ? watcher_.here() : watcher_.token(), fmt::format("{}{}", what, hint));
    }

private:
    // The value of the open array, of the last key of the open object, or the document.
    JsonValue* put(JsonType type) {
        JsonValue* slot = &root_;
        if (!open_.empty() && open_.back()->type == JsonType::array)
            slot = &open_.back()->items.emplace_back();
        else if (!open_.empty())
            slot = &open_.back()->members.back().value;
        slot->type = type;
        slot->place = watcher_.token();
        return slot;
    }
    bool open(JsonType type) {
        if (open_.size() == max_json_depth)
            return refuse(watcher_.token(), fmt::format("nested deeper than {} levels", max_json_depth));
        // The pointers stay good: a vector only grows at its end, while its last item has none of its children open.
        open_.push_back(put(type));
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }
    bool refuse(Place place, std::string_view what) {
        problem_ = fail_at(file_, place, what).error();
        return false;
    }

    std::string_view file_;
    const Watcher& watcher_;
    JsonValue root_;
    std::vector<JsonValue*> open_;
    Error problem_;
};

} // namespace

std::string_view to_string(JsonType type) noexcept {
    switch (type) {
    case JsonType::null:
        return "null";
    case JsonType::boolean:
        return "true or false";
    case JsonType::integer:
        return "a whole number";
    case JsonType::real:
        return "a fraction or a number out of range";
    case JsonType::string:
        return "a string";
    case JsonType::array:
        return "an array";
    case JsonType::object:
        return "an object";
    }
    return "unknown";
}

const JsonMember* JsonValue::find(std::string_view key) const noexcept {
    const auto found = std::ranges::find(members, key, &JsonMember::key);
    return found == members.end() ? nullptr : &*found;
}

std::unexpected<Error> fail_at(std::string_view file, Place place, std::string_view what) {
    return fail(ErrorKind::invalid, fmt::format("{}:{}:{}: {}", file, place.line, place.column, what));
}

Result<JsonValue> parse_located(std::string_view file, std::string_view text) {
    Watcher watcher;
    Builder builder(file, watcher);
    const WatchedIterator begin{text.data(), &watcher};
    const WatchedIterator end{text.data() + text.size(), &watcher};
    return builder.result(nlohmann::json::sax_parse(begin, end, &builder));
}

} // namespace fastrpc::settings
